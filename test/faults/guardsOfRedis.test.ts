import { guardsOfRedis } from './guardsOfRedis.js';
import { testGuards } from './mutant.js';

testGuards('a guard of what moves through Redis', guardsOfRedis);
