// Refuses to publish a version as long as a field of package.json is missing that the publisher fills in, or the changelog or a
// starter does not know of the version.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
const manifest = JSON.parse(read('package.json'));
const { version } = manifest;

const missing = ['author', 'repository', 'homepage', 'bugs']
  .filter((field) => !manifest[field])
  .map((field) => `package.json has no ${field}`);

const heading = new RegExp(`^## ${version.replaceAll('.', '\\.')}, \\d{4}-\\d\\d-\\d\\d$`, 'm');
if (!heading.test(read('CHANGELOG.md'))) missing.push(`CHANGELOG.md has no heading "## ${version}, <date>"`);

const starters = readdirSync(new URL('sample/starters', root), { withFileTypes: true }).filter((one) =>
  one.isDirectory(),
);
for (const { name } of starters) {
  const asked = JSON.parse(read(`sample/starters/${name}/package.json`)).dependencies[manifest.name];
  if (asked !== `^${version}`) missing.push(`sample/starters/${name} asks for ${asked}, not for ^${version}`);
}

if (missing.length > 0) {
  console.error(
    `${manifest.name} ${version} is not ready to be published:\n- ${missing.join('\n- ')}\nSee scripts/RELEASE.md.`,
  );
  process.exitCode = 1;
} else {
  console.log(`${fileURLToPath(root)} is ready to be published as ${manifest.name} ${version}.`);
}
