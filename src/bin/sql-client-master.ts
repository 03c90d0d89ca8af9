#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['sql-client-master', ...process.argv.slice(2)]);
