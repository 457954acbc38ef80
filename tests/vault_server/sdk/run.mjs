// SPDX-License-Identifier: Apache-2.0
// Azure's own SDK against tdefs-vault: every operation once. Fails by an exception.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

const { VAULT_URL: url, TENANT, CLIENT_ID, CLIENT_SECRET, BLIND_ID, BLIND_SECRET } = process.env;
// The tenant is "adfs": for any other the library asks login.microsoftonline.com about the host first.
const authority = { authorityHost: url };
const credential = new ClientSecretCredential(TENANT, CLIENT_ID, CLIENT_SECRET, authority);
const options = { disableChallengeResourceVerification: true };
const client = new KeyClient(url, credential, options);

async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

async function life() {
  const key = await client.createRsaKey("sdk", { keySize: 3072, tags: { a: "b" } });
  assert.equal(key.keyType, "RSA");
  assert.equal(key.key.n.length, 384);
  assert.equal(key.properties.recoveryLevel, "CustomizedRecoverable+Purgeable");
  assert.deepEqual((await client.getKey("sdk")).key.n, key.key.n);
  const expiresOn = new Date(Date.now() + 86400000);
  expiresOn.setMilliseconds(0);
  const updated = await client.updateKeyProperties("sdk", key.properties.version, {
    enabled: true, expiresOn, tags: { c: "d" } });
  assert.deepEqual(updated.properties.expiresOn, expiresOn);
  assert.deepEqual(updated.properties.tags, { c: "d" });
  const rotated = await client.rotateKey("sdk");
  assert.notEqual(rotated.properties.version, key.properties.version);
  assert.equal((await all(client.listPropertiesOfKeyVersions("sdk"))).length, 2);
  for (let i = 0; i < 27; i++) await client.createKey(`page-${i}`, "RSA");
  assert.equal((await all(client.listPropertiesOfKeys())).length, 28);
  return key;
}

async function policy() {
  const saved = await client.updateKeyRotationPolicy("sdk", { expiresIn: "P90D", lifetimeActions: [
    { action: "Rotate", timeAfterCreate: "P30D" }] });
  assert.equal(saved.expiresIn, "P90D");
  assert.equal((await client.getKeyRotationPolicy("sdk")).lifetimeActions[0].action, "Rotate");
}

async function deletion() {
  const backup = await client.backupKey("sdk");
  const poller = await client.beginDeleteKey("sdk", { intervalInMs: 50 });
  const deleted = await poller.pollUntilDone();
  assert.equal(deleted.properties.recoveryId, `${url}/deletedkeys/sdk`);
  assert.equal((await all(client.listDeletedKeys())).length, 1);
  await assert.rejects(client.getKey("sdk"), { statusCode: 404, code: "KeyNotFound" });
  await assert.rejects(client.createKey("sdk", "RSA"), { statusCode: 409 });
  const recover = await client.beginRecoverDeletedKey("sdk", { intervalInMs: 50 });
  assert.equal((await recover.pollUntilDone()).name, "sdk");
  await (await client.beginDeleteKey("sdk", { intervalInMs: 50 })).pollUntilDone();
  await client.purgeDeletedKey("sdk");
  assert.equal((await client.restoreKeyBackup(backup)).name, "sdk");
}

// Who may read the key has the library do public operations by itself; who may not asks the vault.
async function cryptography() {
  const key = await client.getKey("sdk");
  const blind = new ClientSecretCredential(TENANT, BLIND_ID, BLIND_SECRET, authority);
  for (const crypto of [new CryptographyClient(key, credential, options),
                        new CryptographyClient(key.id, blind, options)]) {
    const dek = randomBytes(32);
    const wrapped = await crypto.wrapKey("RSA-OAEP-256", dek);
    assert.deepEqual(Buffer.from((await crypto.unwrapKey("RSA-OAEP-256", wrapped.result)).result), dek);
    const sealed = await crypto.encrypt({ algorithm: "RSA-OAEP", plaintext: dek });
    const opened = await crypto.decrypt({ algorithm: "RSA-OAEP", ciphertext: sealed.result });
    assert.deepEqual(Buffer.from(opened.result), dek);
    const digest = createHash("sha256").update("text").digest();
    for (const algorithm of ["RS256", "PS256"]) {
      const { result } = await crypto.sign(algorithm, digest);
      assert.equal((await crypto.verify(algorithm, digest, result)).result, true);
      assert.equal((await crypto.verify(algorithm, randomBytes(32), result)).result, false);
    }
    assert.equal((await crypto.verifyData("RS256", Buffer.from("text"),
      (await crypto.signData("RS256", Buffer.from("text"))).result)).result, true);
  }
}

async function errors() {
  const bad = new ClientSecretCredential(TENANT, CLIENT_ID, "wrong", authority);
  await assert.rejects(new KeyClient(url, bad, options).getKey("sdk"), /AADSTS7000215/);
  await client.updateKeyProperties("sdk", { enabled: false });
  const crypto = new CryptographyClient((await client.getKey("sdk")).id, credential, options);
  await assert.rejects(crypto.unwrapKey("RSA-OAEP-256", randomBytes(384)), /disabled/);
}

await life();
await policy();
await deletion();
await cryptography();
await errors();
console.log(`done with Node.js ${process.version}`);
