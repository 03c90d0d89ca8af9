import { guardsOfSql } from './guardsOfSql.js';
import { testGuards } from './mutant.js';

testGuards('a guard of the ledger and of what is made of it', guardsOfSql);
