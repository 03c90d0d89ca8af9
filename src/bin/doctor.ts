#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['doctor', ...process.argv.slice(2)]);
