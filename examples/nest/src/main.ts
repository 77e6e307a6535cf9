// oxlint-disable-next-line import/no-unassigned-import -- it is there for what it does: decorators need it first
import 'reflect-metadata';
import cluster from 'node:cluster';
import process from 'node:process';
import { NestFactory } from '@nestjs/core';
import { ClusteredCache } from 'clustered-cache';
import { AppModule } from './app.module.js';

const WORKERS = 2;

if (cluster.isPrimary) {
  ClusteredCache.bootstrap();
  for (let count = 0; count < WORKERS; count += 1) cluster.fork();
} else {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(Number(process.env.PORT ?? 3000));
}
