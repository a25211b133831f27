// A JavaScript blockstore over the program given in MNEM_BRIDGE, and the suite of interface-blockstore-tests on it.
// Run by `cargo xtask blockstore-tests`.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { interfaceBlockstoreTests } from 'interface-blockstore-tests'
import { CID } from 'multiformats/cid'

class NotFoundError extends Error {
  name = 'NotFoundError'
}

const whole = async (bytes) => {
  const parts = []
  if (bytes instanceof Uint8Array) {
    parts.push(bytes)
  } else {
    for await (const part of bytes) parts.push(part)
  }
  return Buffer.concat(parts)
}

class BridgedBlockstore {
  #folder = mkdtempSync(join(tmpdir(), 'mnem-blockstore-'))
  #waiting = new Map()
  #nextId = 0
  #child
  #ended

  constructor () {
    this.#child = spawn(process.env.MNEM_BRIDGE, [join(this.#folder, process.env.MNEM_STORE_NAME)], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#ended = new Promise((resolve) => this.#child.on('exit', resolve))
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line)
      const { resolve, reject } = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      answer.error == null ? resolve(answer.ok) : reject(new Error(`${answer.error}: ${answer.message}`))
    })
  }

  async #ask (op, cid, data, options) {
    options?.signal?.throwIfAborted()
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(JSON.stringify({ id, op, cid: cid?.toString(), data: data?.toString('base64') }) + '\n')
    })
  }

  async put (cid, bytes, options) {
    await this.#ask('put', cid, await whole(bytes), options)
    return cid
  }

  async * get (cid, options) {
    const data = await this.#ask('get', cid, undefined, options)
    if (data == null) throw new NotFoundError(`${cid} is not here`)
    yield new Uint8Array(Buffer.from(data, 'base64'))
  }

  async has (cid, options) {
    return this.#ask('has', cid, undefined, options)
  }

  async delete (cid, options) {
    await this.#ask('delete', cid, undefined, options)
  }

  async * putMany (pairs, options) {
    for await (const { cid, bytes } of pairs) yield await this.put(cid, bytes, options)
  }

  async * getMany (cids, options) {
    for await (const cid of cids) yield { cid, bytes: this.get(cid, options) }
  }

  async * deleteMany (cids, options) {
    for await (const cid of cids) {
      await this.delete(cid, options)
      yield cid
    }
  }

  async * getAll (options) {
    for (const text of await this.#ask('cids', undefined, undefined, options)) {
      const cid = CID.parse(text)
      yield { cid, bytes: this.get(cid, options) }
    }
  }

  async close () {
    this.#child.stdin.end()
    const status = await this.#ended
    rmSync(this.#folder, { recursive: true })
    if (status !== 0) throw new Error(`the store ended with ${status}`)
  }
}

describe('a store behind a pipe', () => {
  interfaceBlockstoreTests({
    setup: () => new BridgedBlockstore(),
    teardown: (store) => store.close()
  })
})
