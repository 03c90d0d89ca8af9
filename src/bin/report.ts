#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['report', ...process.argv.slice(2)]);
