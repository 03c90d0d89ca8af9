#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['export', ...process.argv.slice(2)]);
