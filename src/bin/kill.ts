#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['kill', ...process.argv.slice(2)]);
