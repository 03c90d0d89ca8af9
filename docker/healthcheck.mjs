// Ends with status 0 while the role of this container can work: while its /readyz says so.
const port = process.env.ATMOS_FLEET_METRICS_PORT.split(':').at(-1);
const { ok } = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => ({ ok: false }));
process.exitCode = ok ? 0 : 1;
