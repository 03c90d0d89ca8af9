#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['worker', ...process.argv.slice(2)]);
