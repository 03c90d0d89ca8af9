#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['init', ...process.argv.slice(2)]);
