import { afterAll, afterEach, beforeEach } from 'vitest';
import { copyFolder, program } from './program.js';
import { closeScope, openScope } from './scope.js';

program.folder = copyFolder;

beforeEach(openScope);
afterEach(closeScope);
afterAll(closeScope);
