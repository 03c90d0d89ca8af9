import { afterAll, afterEach, beforeEach } from 'vitest';
import { closeScope, openScope } from './scope.js';

beforeEach(openScope);
afterEach(closeScope);
afterAll(closeScope);
