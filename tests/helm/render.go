// Renders the templates of a chart as Helm does: Go's templates, sprig's functions, include and toYaml.
// What needs a cluster (lookup, capabilities) is not here, and our chart does without.
//
//	render CHART RELEASE [KEY=VALUE ...]    a value as YAML, its key with dots
//
// Prints every file that is not empty, each after a line "---".
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(path string) map[string]interface{} {
	var out map[string]interface{}
	text, err := os.ReadFile(path)
	check(err)
	check(yaml.Unmarshal(text, &out))
	return out
}

// Numbers reach Helm's templates as float64, since its YAML goes through JSON.
func asHelm(value interface{}) interface{} {
	switch v := value.(type) {
	case map[string]interface{}:
		for key := range v {
			v[key] = asHelm(v[key])
		}
	case []interface{}:
		for i := range v {
			v[i] = asHelm(v[i])
		}
	case int:
		return float64(v)
	}
	return value
}

func set(values map[string]interface{}, argument string) {
	name, text, _ := strings.Cut(argument, "=")
	path := strings.Split(name, ".")
	for _, key := range path[:len(path)-1] {
		values = values[key].(map[string]interface{})
	}
	var value interface{}
	check(yaml.Unmarshal([]byte(text), &value))
	values[path[len(path)-1]] = value
}

func main() {
	chart, release := os.Args[1], os.Args[2]
	values := read(filepath.Join(chart, "values.yaml"))
	for _, argument := range os.Args[3:] {
		set(values, argument)
	}
	described := read(filepath.Join(chart, "Chart.yaml"))
	data := map[string]interface{}{
		"Values":  asHelm(values),
		"Release": map[string]interface{}{"Name": release, "Namespace": "default", "Service": "Helm"},
		"Chart": map[string]interface{}{"Name": described["name"], "Version": described["version"],
			"AppVersion": described["appVersion"]},
	}
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		check(err)
		_, err = all.New(filepath.Base(path)).Parse(string(text))
		check(err)
	}
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), "_") {
			continue
		}
		var out bytes.Buffer
		check(all.ExecuteTemplate(&out, filepath.Base(path), data))
		if strings.TrimSpace(out.String()) != "" {
			fmt.Printf("---\n%s", out.String())
		}
	}
}
