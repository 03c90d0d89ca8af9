import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/config.js';
import { temporaryFolder } from '../support/folder.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const overlays = ['base', 'overlays/local', 'overlays/gke', 'overlays/gke-keda'];

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  // Checked against Kubernetes's own schemas below; tests read here and there.
  spec?: Record<string, never>;
  data?: Record<string, string>;
}

interface Container {
  name: string;
  image: string;
  args?: string[];
  env?: { name: string; value?: string }[];
  securityContext: object;
  resources: { requests?: object; limits?: object };
  readinessProbe?: object;
  livenessProbe?: object;
}

interface PodSpec {
  containers: Container[];
  securityContext: { runAsNonRoot: boolean; runAsUser: number; seccompProfile: object };
  automountServiceAccountToken: boolean;
  serviceAccountName?: string;
  terminationGracePeriodSeconds?: number;
  volumes: object[];
}

const rendered = new Map<string, Manifest[]>();

beforeAll(() => {
  const kubectl = execFileSync(join(root, 'scripts/test-kubectl'), { encoding: 'utf8' }).trim();
  for (const overlay of overlays) {
    const text = execFileSync(kubectl, ['kustomize', join(root, 'k8s', overlay)], { encoding: 'utf8' });
    rendered.set(overlay, documents(text));
  }
  const plain = ['redis-pod.yaml', 'redis-service.yaml'].flatMap((file) => documents(read(join('k8s', file))));
  rendered.set('redis', plain);
});

function documents(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS());
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function manifestsOf(overlay: string): Manifest[] {
  return rendered.get(overlay) ?? [];
}

function find(overlay: string, kind: string, name: string): Manifest | undefined {
  return manifestsOf(overlay).find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
}

/** The pods that a manifest makes, itself included. */
function podOf({ kind, spec }: Manifest): PodSpec[] {
  const template = (from: unknown) => [(from as { template: { spec: PodSpec } }).template.spec];
  if (kind === 'Pod') return [spec as unknown as PodSpec];
  if (kind === 'ScaledJob') return template((spec as unknown as { jobTargetRef: unknown }).jobTargetRef);
  return ['Deployment', 'StatefulSet', 'Job'].includes(kind) ? template(spec) : [];
}

/** Where the types of a manifest's kind lie: Kubernetes 1.33's own, and KEDA's. */
function moduleOf({ apiVersion }: Manifest): string {
  return apiVersion.startsWith('keda.sh') ? `@kubernetes-models/keda/${apiVersion}` : `kubernetes-models/${apiVersion}`;
}

/** Has the compiler hold manifests against the types made from Kubernetes's schemas: unknown fields are errors there. */
function complaintsAbout(manifests: readonly Manifest[]): string {
  const folder = join(root, 'test-output', `manifests-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const checks = manifests.map(
    (manifest) =>
      `(${JSON.stringify(manifest, null, 1)}) satisfies import('${moduleOf(manifest)}').I${manifest.kind};\n`,
  );
  writeFileSync(join(folder, 'manifests.ts'), checks.join(''));
  const compiler = join(root, 'node_modules/.bin/tsc');
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', '--ignoreConfig'];
  try {
    execFileSync(compiler, [...options, join(folder, 'manifests.ts')], { encoding: 'utf8', cwd: root, stdio: 'pipe' });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe.each([...overlays, 'redis'])('k8s/%s', (overlay) => {
  test('is what Kubernetes 1.33 and KEDA take, without an unknown field', () => {
    expect(manifestsOf(overlay).length).toBeGreaterThan(1);
    expect(complaintsAbout(manifestsOf(overlay))).toBe('');
  });

  test('confines every pod as the policy `restricted` asks, with a read-only root', () => {
    const pods = manifestsOf(overlay).flatMap(podOf);
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(pod.securityContext.runAsUser).toBeGreaterThan(0);
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.volumes.filter((volume) => 'hostPath' in volume)).toEqual([]);
      for (const { name, securityContext, resources, env = [] } of pod.containers) {
        expect(securityContext, name).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(resources, name).toMatchObject({ requests: expect.anything(), limits: { memory: expect.any(String) } });
        expect(env.filter(({ name, value }) => /PASSWORD|TOKEN|_URL$/.test(name) && value && value !== 'yes')).toEqual(
          [],
        );
      }
    }
  });

  test('holds no secret', () => {
    const text = JSON.stringify(manifestsOf(overlay));
    expect(manifestsOf(overlay).filter(({ kind }) => kind === 'Secret')).toEqual([]);
    expect(text).not.toMatch(/:\/\/[^\s"/@]*:[^\s"/@]+@/);
    expect(text).not.toMatch(/-----BEGIN|AIza[\w-]{20}|"private_key"/);
  });
});

describe('the check of manifests', () => {
  test('refuses unknown fields, wrong values and missing ones', () => {
    const job = find('base', 'Job', 'worker') as Manifest;
    const policy = { rules: [{ action: 'Ignored' }] };
    expect(complaintsAbout([{ ...job, spec: { ...job.spec, paralelism: 1 } as never }])).toMatch(/paralelism/);
    expect(complaintsAbout([{ ...job, spec: { ...job.spec, podFailurePolicy: policy } as never }])).toMatch(/Ignored/);
    expect(complaintsAbout([{ ...job, spec: {} }])).toMatch(/template/);
  });

  test('knows Kubernetes 1.33: a signal to stop by, which came with it, and no way to restart, which came after', () => {
    const pod = (fields: object) =>
      ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'pod' },
        spec: { containers: [{ name: 'container', ...fields }] },
      }) as unknown as Manifest;
    expect(complaintsAbout([pod({ lifecycle: { stopSignal: 'SIGTERM' } })])).toBe('');
    expect(complaintsAbout([pod({ restartPolicyRules: [] })])).toMatch(/restartPolicyRules/);
  });
});

describe('the workers', () => {
  test('are a Job in the work-queue pattern, in which a stop costs nothing and a wrong configuration ends it', () => {
    const spec = find('base', 'Job', 'worker')?.spec as unknown as Record<string, unknown>;
    expect(spec).toMatchObject({ parallelism: expect.any(Number), template: { spec: { restartPolicy: 'Never' } } });
    expect(spec).not.toHaveProperty('completions');
    expect(spec.podFailurePolicy).toMatchObject({
      rules: [
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
        { action: 'Ignore', onExitCodes: { operator: 'In', values: [143] } },
        { action: 'FailJob', onExitCodes: { operator: 'In', values: [2] } },
      ],
    });
  });

  test('know no database, and go within the 15 s that Spot nodes of GKE give', () => {
    for (const overlay of overlays) {
      const worker = find(overlay, 'Job', 'worker') ?? find(overlay, 'ScaledJob', 'worker');
      const [pod] = podOf(worker as Manifest);
      expect(pod?.terminationGracePeriodSeconds).toBeLessThanOrEqual(15);
      expect(JSON.stringify(pod)).not.toMatch(/database-url/i);
    }
  });

  test('are the same under KEDA, which counts waiting and running points', () => {
    const fixed = find('overlays/gke', 'Job', 'worker')?.spec as unknown as Record<string, unknown>;
    const scaled = find('overlays/gke-keda', 'ScaledJob', 'worker')?.spec as unknown as Record<string, unknown>;
    expect(find('overlays/gke-keda', 'Job', 'worker')).toBeUndefined();
    const { parallelism: _, ...rest } = fixed;
    expect(scaled.jobTargetRef).toEqual(rest);
    expect(scaled).toMatchObject({
      minReplicaCount: 0,
      triggers: ['{pyatmos}:main_Q', '{pyatmos}:processing_Q'].map((listName) => ({ metadata: { listName } })),
    });
  });
});

test('GKE gives workers Spot nodes, the service account its Google name, and roles their images', () => {
  const [worker] = podOf(find('overlays/gke', 'Job', 'worker') as Manifest);
  expect(worker).toMatchObject({
    nodeSelector: { 'cloud.google.com/gke-spot': 'true' },
    tolerations: [{ key: 'cloud.google.com/gke-spot' }],
    serviceAccountName: 'ultron-worker',
  });
  for (const name of ['ultron', 'ultron-worker']) {
    expect(find('overlays/gke', 'ServiceAccount', name)?.metadata).toMatchObject({
      annotations: { 'iam.gke.io/gcp-service-account': expect.stringContaining(`${name}@`) },
    });
  }
  expect(find('overlays/gke', 'StatefulSet', 'redis')).toBeUndefined();
  const images = manifestsOf('overlays/gke')
    .flatMap(podOf)
    .flatMap(({ containers }) => containers.map(({ image }) => image));
  expect(images.filter((image) => !image.startsWith('us-central1-docker.pkg.dev/my-project/fleet/'))).toEqual([]);
});

test('pods that run simulators have an account of their own, everywhere', () => {
  for (const overlay of overlays) {
    const accounts = manifestsOf(overlay).flatMap((manifest) =>
      podOf(manifest).map(({ serviceAccountName }) => [manifest.metadata.name, serviceAccountName]),
    );
    const users = accounts.filter(([, account]) => account === 'ultron-worker').map(([name]) => name);
    expect(users, overlay).toEqual(['worker']);
  }
});

test('on GKE nothing reaches an address that is neither private nor of Private Google Access', () => {
  interface Rule {
    to?: { ipBlock?: { cidr: string } }[];
  }
  for (const overlay of ['overlays/gke', 'overlays/gke-keda']) {
    const rules = manifestsOf(overlay)
      .filter(({ kind }) => kind === 'NetworkPolicy')
      .flatMap(({ spec }) => (spec as unknown as { egress?: Rule[] }).egress ?? []);
    expect(rules.filter(({ to }) => !to)).toEqual([]);
    const blocks = rules.flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => ipBlock?.cidr ?? []));
    const known = /^(10\.|172\.16\.|169\.254\.\d+\.\d+\/32$|199\.36\.153\.8\/30$)/;
    expect(blocks.length).toBeGreaterThan(4);
    expect(blocks.filter((block) => !known.test(block))).toEqual([]);
  }
});

test('the dashboard is not started again for what it shows: that Redis or the database is away', () => {
  const [pod] = podOf(find('base', 'Deployment', 'dashboard') as Manifest);
  expect(
    JSON.stringify(pod?.containers.map(({ livenessProbe, readinessProbe }) => [livenessProbe, readinessProbe])),
  ).not.toContain('healthz');
});

test.each(overlays)('the configuration in k8s/%s is valid', (overlay) => {
  const text = manifestsOf(overlay).find(
    ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith('atmos-fleet'),
  )?.data?.['atmos-fleet.yaml'];
  const path = join(temporaryFolder(), 'atmos-fleet.yaml');
  writeFileSync(path, text ?? '');
  expect(loadConfig({ path, env: {} }).name).toBe('pyatmos');
});

test('Redis is reached by roles alone, and workers reach no database', () => {
  const into = find('base', 'NetworkPolicy', 'redis-from-roles')?.spec as unknown as { ingress: object[] };
  expect(into.ingress).toHaveLength(1);
  expect(find('base', 'NetworkPolicy', 'nothing')?.spec).toEqual({
    podSelector: {},
    policyTypes: ['Ingress', 'Egress'],
  });
  const uses = (name: string) => JSON.stringify(find('base', 'Job', name) ?? find('base', 'Deployment', name));
  expect(uses('worker')).not.toContain('uses-database');
  expect(uses('sql-client')).toContain('uses-database');
});
