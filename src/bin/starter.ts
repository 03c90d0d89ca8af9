#!/usr/bin/env node
import { main } from '../cli/main.js';

await main(['starter', ...process.argv.slice(2)]);
