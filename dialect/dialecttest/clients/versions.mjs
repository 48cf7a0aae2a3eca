// Prints which clients are installed.
import { readFileSync } from "node:fs";

for (const name of ["@cycleplatform/cycle-api", "@vertesia/client", "@vertesia/client-1.2.0", "@vertesia/common", "openapi-fetch"]) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  console.log(name, version);
}
