import { Module } from '@nestjs/common';
import { SignupPageController } from './signup-page.controller.js';
import { SignupController } from './signup.controller.js';

@Module({ controllers: [SignupController, SignupPageController] })
export class SignupModule {}
