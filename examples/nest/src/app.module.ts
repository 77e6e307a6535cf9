import { Module } from '@nestjs/common';
import { VisitsController } from './visits.controller.js';
import { VisitsService } from './visits.service.js';

@Module({ controllers: [VisitsController], providers: [VisitsService] })
// oxlint-disable-next-line typescript/no-extraneous-class -- its decorator is all there is to a module
export class AppModule {}
