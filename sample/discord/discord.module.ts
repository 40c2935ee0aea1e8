import { Module } from '@nestjs/common';
import { DiscordBot } from './discord-bot.js';

@Module({ providers: [DiscordBot] })
export class DiscordModule {}
