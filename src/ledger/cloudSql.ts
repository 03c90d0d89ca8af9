import type { AuthTypes, Connector, IpAddressTypes } from '@google-cloud/cloud-sql-connector';
import { messageOf, Refused, Unavailable } from '../support/errors.js';
import { cloudSqlFailure } from './failures.js';

/** A Cloud SQL instance as a database URL names it: `?cloudSql=project:region:instance`, `&ipType=PRIVATE` or `PSC`. */
export interface CloudSqlInstance {
  name: string;
  ipType: string;
  /** Whether to log in as the machine's own Google account, where the URL has no password. */
  byIam: boolean;
}

/**
 * What mysql2 needs to reach an instance: TLS with certificates that last an hour, no open port, and by IAM no password.
 * `Unavailable` while Google's interfaces do not answer, `Refused` where they refuse.
 */
export async function cloudSqlStream({ name, ipType, byIam }: CloudSqlInstance, connector: Connector) {
  try {
    return await connector.getOptions({
      instanceConnectionName: name,
      ipType: ipType as IpAddressTypes,
      authType: (byIam ? 'IAM' : 'PASSWORD') as AuthTypes,
    });
  } catch (error) {
    const message = `Cloud SQL ${name}: ${messageOf(error)}`;
    const { class: kind, meaning } = cloudSqlFailure(error);
    if (kind === 'outage') throw new Unavailable(message, { cause: error });
    throw new Refused(`${message}; ${meaning}`, { cause: error });
  }
}

/** Loaded only where it is asked for: it is large. */
export async function cloudSqlConnector(): Promise<Connector> {
  const { Connector } = await import('@google-cloud/cloud-sql-connector');
  return new Connector();
}
