#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['dashboard', ...process.argv.slice(2)]);
