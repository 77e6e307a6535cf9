import process from 'node:process';
import { Controller, Get } from '@nestjs/common';
// oxlint-disable-next-line typescript/consistent-type-imports -- Nest reads the class from the constructor's metadata
import { VisitsService } from './visits.service.js';

@Controller('visits')
export class VisitsController {
  constructor(private readonly visits: VisitsService) {}

  @Get()
  async find() {
    return { total: await this.visits.count(), role: this.visits.role, process: process.pid };
  }
}
