#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['logs', ...process.argv.slice(2)]);
