// Checks manifests of Kubernetes against its schemas, as the npm package kubernetes-models has them.
//
//	npm install --prefix build/npm kubernetes-models js-yaml
//	NODE_PATH=build/npm/node_modules node tests/helm/validate.js deploy/kubernetes/*.yaml
//
// A line for each fault; exits with 1 if there is one.
const fs = require("fs");
const yaml = require("js-yaml");

let objects = 0;
let faults = 0;
for (const path of process.argv.slice(2)) {
	for (const item of yaml.loadAll(fs.readFileSync(path, "utf8"))) {
		if (!item || item.kind === "Kustomization") {
			continue;
		}
		const Kind = require("kubernetes-models/" + item.apiVersion)[item.kind];
		objects++;
		try {
			new Kind(item).validate();
		} catch (error) {
			faults++;
			console.log(`${path}: ${item.kind} ${item.metadata.name}: ${error.message}`);
		}
	}
}
console.log(`${objects} objects, ${faults} faults`);
process.exit(faults || !objects ? 1 : 0);
