#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['status', ...process.argv.slice(2)]);
