/** Events in transactions of the data layers that can use PGlite, an embedded database. */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, describe } from '@jest/globals';
import { EMBEDDED_LAYERS } from '../support/layers.js';
import { makePGliteFolder } from '../support/pglite-folder.js';
import { specify } from './layer-specification.js';

for (const { name, open } of EMBEDDED_LAYERS) {
  describe(`On PGlite with ${name},`, () => {
    let folder: string;
    specify(async () => {
      folder = await makePGliteFolder();
      const pglite = await PGlite.create(folder);
      return { layer: await open(pglite), engine: { pglite }, query: (text) => pglite.query(text) };
    });
    afterAll(() => rmSync(dirname(folder), { recursive: true }));
  });
}
