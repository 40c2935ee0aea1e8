import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { Column, Entity, type MigrationInterface, PrimaryColumn, type QueryRunner } from 'typeorm';

export const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';

@Entity('users')
export class User {
  @PrimaryColumn('text')
  email!: string;

  @Column('text')
  name!: string;
}

class CreateUsers1767225600000 implements MigrationInterface {
  async up(runner: QueryRunner) {
    await runner.query('create table if not exists users (email text primary key, name text not null)');
  }

  async down(runner: QueryRunner) {
    await runner.query('drop table users');
  }
}

export const database: TypeOrmModuleOptions = {
  type: 'postgres',
  url: connectionString,
  entities: [User],
  migrations: [CreateUsers1767225600000],
  migrationsRun: true, // at boot, those that this database has not seen
  retryAttempts: 1, // without a server, the boot and the specs fail at once
};
