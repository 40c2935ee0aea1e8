import { Module } from '@nestjs/common';
import { SignupPageController } from './signup-page.controller.js';
import { SignupController } from './signup.controller.js';
import { WhatHappened } from '../what-happened.js';

@Module({ controllers: [SignupController, SignupPageController], providers: [WhatHappened] })
export class SignupModule {}
