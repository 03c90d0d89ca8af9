#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['run', ...process.argv.slice(2)]);
