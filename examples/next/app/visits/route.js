import { ClusteredCache } from 'clustered-cache';

const visits = new ClusteredCache({ namespace: 'visits' });

export const dynamic = 'force-dynamic';

export async function GET() {
  return Response.json({ total: await visits.incr('total'), role: visits.role, process: process.pid });
}
