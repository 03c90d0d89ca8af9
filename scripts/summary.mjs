// Reads vitest's JSON report and prints 'N passed, N failed': node summary.mjs REPORT FAILED-CHECKS VITEST-STATUS
// Counted as failed beside failed tests: checks before the tests, files that broke outside a test, a run without a report.
import { existsSync, readFileSync } from 'node:fs';

const [report = '', failedChecks = '0', vitestStatus = '1'] = process.argv.slice(2);

function countTests() {
  if (!existsSync(report)) return { passed: 0, failed: 0 };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  );
  return { passed: numPassedTests, failed: numFailedTests + broken.length };
}

const { passed, failed: failedTests } = countTests();
const unexplained = vitestStatus !== '0' && failedTests === 0 ? 1 : 0;
const failed = failedTests + unexplained + Number(failedChecks);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
