"""The lint tests find what they are there to find."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import architecture
import circles
import complexity
import layers
import links
import migrations
import order
import readme
import reasons
import rights
import style
import words
from lint import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))
import planted  # noqa: E402


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path


class Layers(Tree):
    def problems(self, path, include):
        self.write(path, f"/* x */\n#include {include}\n")
        found = layers.check(self.root)
        os.unlink(os.path.join(self.root, path))
        return found

    def test_headers_that_include_each_other_are_found(self):
        for name, includes in ("a", "b"), ("b", "c"), ("c", "d"), ("d", "x"):
            self.write(f"consumer/base/{name}.h", f'#include "base/{includes}.h"\n')
        self.assertEqual(layers.check(self.root), [])
        self.write("consumer/base/c.h", '#include "base/d.h"\n#include "base/a.h"\n')
        self.assertEqual(layers.check(self.root), [
            "consumer/base/c.h:2: headers include each other: "
            "base/a.h -> base/b.h -> base/c.h -> base/a.h"])

    def test_what_the_table_allows_passes(self):
        for path, include in [
                ("consumer/main.c", '"cli/cli.h"'), ("consumer/cli/a.c", '"daemon/daemon.h"'),
                ("consumer/daemon/a.c", '"spool/spool.h"'), ("consumer/spool/a.c", '"base/fs.h"'),
                ("consumer/spool/a.c", '"spool/spool_private.h"'),
                ("consumer/rows/a.c", '"decode/message.h"'), ("consumer/copy/a.c", '"rows/rows.h"'),
                ("consumer/copy/a.c", '"pg/connect.h"'), ("consumer/mqtt/a.c", "<MQTTAsync.h>"),
                ("bench/stations.c", "<MQTTAsync.h>"), ("consumer/base/digest.c", "<xxhash.h>"),
                ("consumer/decode/a.c", "<yajl/yajl_parse.h>"), ("consumer/base/a.c", "<stdio.h>"),
                ("consumer/copy/a.h", "<libpq-fe.h>"), ("consumer/base/a.c", "<sys/stat.h>")]:
            self.assertEqual(self.problems(path, include), [], (path, include))

    def test_what_it_forbids_is_found_with_file_and_line(self):
        for path, include in [
                ("consumer/spool/a.c", '"mqtt/mqtt.h"'), ("consumer/base/a.c", '"pg/connect.h"'),
                ("consumer/main.c", '"daemon/daemon.h"'), ("consumer/pg/a.c", '"cli/cli.h"'),
                ("consumer/spool/a.h", '"daemon/daemon.h"'), ("consumer/rows/a.c", '"copy/copy.h"'),
                ("consumer/rows/a.c", '"decode/decode.h"'),
                ("consumer/pg/a.c", '"migrate/migrate.h"'),
                ("consumer/daemon/a.c", '"spool/spool_private.h"'),
                ("consumer/new/a.c", '"base/fs.h"'), ("consumer/cli/a.c", '"new/new.h"'),
                ("consumer/cli/a.c", '"cli.h"'),
                ("consumer/daemon/a.c", "<MQTTAsync.h>"), ("consumer/rows/a.c", "<msgpack.h>"),
                ("consumer/daemon/a.c", "<libpq-fe.h>"), ("consumer/base/fs.c", "<xxhash.h>"),
                ("consumer/spool/a.c", "<ev.h>"), ("consumer/http/a.c", "<curl/curl.h>"),
                ("bench/stations.c", "<msgpack.h>")]:
            found = self.problems(path, include)
            self.assertEqual(len(found), 1, (path, include, found))
            self.assertTrue(found[0].startswith(path + ":2: "), found)


class Circles(Tree):
    ROUND = {"consumer/x/a.c": "int b(void);\nint a(void) { return b(); }\n",
             "consumer/x/b.c": "extern int (*const c[])(void);\nint b(void) { return c[0](); }\n",
             "consumer/x/c.c": "int a(void);\nint (*const c[])(void) = {a};\n",
             "bench/d.c": "int a(void);\nint main(void) { return a(); }\n"}

    def compiled(self, files):
        """A build folder in which these files are compiled, as one target."""
        entries = []
        for path, text in files.items():
            self.write(path, text)
            out = "app.dir/" + path + ".o"
            os.makedirs(os.path.join(self.root, os.path.dirname(out)), exist_ok=True)
            command = f"cc -std=gnu17 -o {out} -c {path}"
            subprocess.run(command.split(), cwd=self.root, check=True)
            entries.append({"directory": self.root, "file": path, "command": command})
        self.write("compile_commands.json", json.dumps(entries))

    def check(self, *exceptions):
        return circles.check(self.root, self.root, exceptions)

    def test_a_circle_is_found_with_its_files_and_symbols(self):
        self.compiled(self.ROUND)
        self.assertEqual(self.check(), [
            "consumer/x/a.c:1: 3 files use each other in a circle\n"
            "    consumer/x/a.c uses of consumer/x/b.c: b\n"
            "    consumer/x/b.c uses of consumer/x/c.c: c\n"
            "    consumer/x/c.c uses of consumer/x/a.c: a"])
        self.assertEqual(self.check("consumer/x/"), [])

    def test_layers_pass_and_an_exception_without_a_circle_does_not(self):
        self.compiled({**self.ROUND, "consumer/x/c.c":
                       "static int a(void) { return 0; }\nint (*const c[])(void) = {a};\n"})
        self.assertEqual(self.check(), [])
        self.assertIn("consumer/x/ holds no circle", self.check("consumer/x/")[0])

    def test_files_of_a_layer_use_only_those_below(self):
        self.compiled({"consumer/x/a.c": "int b(void);\nint a(void) { return b(); }\n",
                       "consumer/x/b.c": "int c(void);\nint b(void) { return c(); }\n",
                       "consumer/x/c.c": "int c(void) { return 0; }\n"})

        def check(*layers):
            return circles.check(self.root, self.root, (), layers)
        self.assertEqual(check(["consumer/x/c.c"], ["consumer/x/*.c"], ["consumer/x/a.c"]), [])
        self.assertEqual(check(["consumer/x/*.c"], ["consumer/x/a.c"]), [
            "consumer/x/b.c:1: uses c of consumer/x/c.c, which is not in a layer below"])
        self.assertEqual(check(["consumer/x/a.c"], ["consumer/x/b.c"]), [
            "consumer/x/a.c:1: uses b of consumer/x/b.c, which is not in a layer below"])

    def test_two_programs_may_use_one_name(self):
        files = {"consumer/x/a.c": "int b(void);\nint a(void) { return b(); }\n",
                 "consumer/x/b.c": "int b(void) { return 0; }\n"}
        self.compiled(files)
        with open(os.path.join(self.root, "compile_commands.json")) as f:
            first = json.load(f)
        shutil.copytree(f"{self.root}/app.dir", f"{self.root}/first.dir")
        self.compiled({"bench/b.c": "int a(void);\nint b(void) { return a(); }\n"})
        with open(os.path.join(self.root, "compile_commands.json")) as f:
            second = json.load(f)
        for entry in first:
            entry["command"] = entry["command"].replace("app.dir", "first.dir")
        self.write("compile_commands.json", json.dumps(first + second))
        self.assertEqual(self.check(), [])

    def test_what_is_not_compiled_is_said(self):
        self.compiled(self.ROUND)
        os.unlink(os.path.join(self.root, "app.dir/bench/d.c.o"))
        self.assertIn("build it first", self.check()[0])


class Reasons(Tree):
    def check(self, text, listed="", page="", path="consumer/x/a.c"):
        self.write(path, text)
        self.write(reasons.LIST, listed)
        self.write(reasons.PAGE, page)
        return reasons.check(self.root)

    def test_branches_on_a_reason_are_found(self):
        for text in ('if (strcmp(err->reason, "x") == 0)\n',
                     'if (strcmp("x",\n\terr.reason) == 0)\n',
                     'ok = strncmp(w->work.failure.reason, codes[i].prefix, strlen(p)) == 0;\n',
                     'ok = err.reason == other;\n', 'switch (why->reason[0])\n',
                     'ok = err->code == REASON_x;\n'):
            with self.subTest(text=text):
                self.assertIn("consumer/x/a.c:1: branches on the reason", self.check(text)[0])

    def test_reasons_may_be_set_shown_and_counted(self):
        self.assertEqual(self.check(
            'err->reason = "x";\nlog_info("x", "", "reason=%s", err->reason);\n'
            'if (strcmp(u->reasons[i].why, shown) == 0)\n\tcount(err->reason);\n'
            'if (strcmp(argv[i], "--reason") == 0)\n\tx = err.kind == ERROR_FULL;\n'), [])

    def test_what_an_sqlstate_means_is_known_in_one_place(self):
        self.assertIn("knows an SQLSTATE", self.check(
            'if (strcmp(err->sqlstate, "42P01") == 0)\n')[0])
        self.assertEqual(self.check("if (err->sqlstate[0] == 0)\n"), [])

    def test_what_an_error_is_about_decides_on_exit_codes_alone(self):
        self.assertIn("it needs a kind", self.check("if (error_about(err) == ABOUT_LOG)\n")[0])

    def test_a_reason_that_nobody_gives_is_a_problem(self):
        listed = "DEAD_LETTERED(a)\nREASON(b, LOG)\n"
        self.assertEqual(self.check("f(REASON_a, REASON_b);\n", listed, "`a`"), [])
        self.assertIn("nobody gives the reason b", self.check("f(REASON_a);\n", listed, "`a`")[0])

    def test_why_messages_are_not_stored_is_listed_as_such_and_explained(self):
        text = ("\terror_set(err, ERROR_POISON, REASON_a, \"x\");\n"
                "\treturn guard_error(g, err, REASON_b, \"y\");\n")
        path = "consumer/decode/a.c"
        listed = "DEAD_LETTERED(a)\nDEAD_LETTERED(b)\n"
        self.assertEqual(self.check(text, listed, "`a` `b`", path), [])
        self.assertEqual(len(self.check(text, listed, "`a`", path)), 1)
        for other in ("a", "b"):
            wrong = listed.replace(f"DEAD_LETTERED({other})", f"REASON({other}, LOG)")
            self.assertEqual(self.check(text, wrong, "`a` `b`", path),
                             [f"{path}:1: DEAD_LETTERED({other}) is not in {reasons.LIST}"])

    def test_why_messages_are_left_out_is_listed(self):
        text = 'static const char *rows_skip(void)\n{\n\treturn "action";\n}\n'
        path = "consumer/rows/rows.c"
        self.assertEqual(self.check(text, "SKIPPED(action)\n", "`action`", path), [])
        self.assertIn("SKIPPED(action) is not in", self.check(text, "", "", path)[0])


class Rights(Tree):
    def check(self, path, before, after):
        for listing in rights.NEEDS, rights.GIVES:
            with open(os.path.join(ROOT, listing), encoding="utf-8") as f:
                text = f.read()
            self.assertIn(before, text)
            self.write(listing, text.replace(before, after) if listing == path else text)
        return rights.check(self.root)

    def test_a_name_in_one_of_the_lists_alone_is_found(self):
        self.assertEqual(self.check(None, "'tokens'", ""), [])
        for path in rights.NEEDS, rights.GIVES:
            for name in "'tokens'", "'json_int'", "'secret_keys'":
                self.assertEqual(len(self.check(path, name, "'other_name'")), 2, (path, name))

    def test_other_rights_are_found(self):
        self.assertIn("secret_keys is not there with SELECT,INSERT", self.check(
            rights.GIVES, "'secret_keys', 'SELECT,INSERT'", "'secret_keys', 'SELECT'")[0])


@unittest.skipUnless(shutil.which("pmccabe"), "pmccabe is not installed")
class Complexity(Tree):
    def test_functions_of_many_decisions_are_found(self):
        def function(ifs):
            return "int f(int x)\n{\n" + "\tif (x)\n\t\tx++;\n" * ifs + "\treturn x;\n}\n"

        self.write("consumer/base/a.c", function(14))
        self.assertEqual(complexity.check(self.root, {}), [])
        self.write("consumer/base/a.c", function(15))
        self.assertEqual(complexity.check(self.root, {}), [
            "consumer/base/a.c:1: f() has a complexity of 16; 15 is the limit"])
        self.assertEqual(complexity.check(self.root, {"consumer/base/a.c": {"f": 16}}), [])
        self.assertIn("is no longer an exception", complexity.check(
            self.root, {"consumer/base/a.c": {"f": 16, "g": 17}})[0])


class Order(Tree):
    def check(self, text):
        self.write("consumer/base/a.c", text)
        return order.check(self.root)

    def test_only_a_circle_needs_a_declaration(self):
        low = "static int low(int x)\n{\n\treturn x;\n}\n"
        high = "int high(void)\n{\n\treturn low(1); /* low() */\n}\n"
        self.assertEqual(self.check(low + high), [])
        self.assertEqual(self.check("static int low(int x);\n" + high + low), [
            "consumer/base/a.c:1: low() needs no declaration: put it before what calls it"])
        again = "static int low(int x)\n{\n\treturn x > 0 ? high() : x;\n}\n"
        self.assertEqual(self.check("static int low(int x);\n" + high + again), [])
        self.assertEqual(self.check(
            "static int low(int x) __attribute__((pure));\n" + low + high), [])


class Style(Tree):
    def test_long_functions_files_and_lines_are_found(self):
        def function(size):
            return "int f(void)\n{\n" + "\tx;\n" * size + "}\n"

        self.write("consumer/base/fine.c", function(60))
        self.write("consumer/base/table.def", "x" * 200 + "\n")
        self.write("tests/fine.py", "def f():\n" + "    x\n" * 59 + "\n\nx = 1\n")
        self.write("tests/wire.py", "x = ('" + '{"a":"' + "b" * 100 + '"}' + "')\n")
        self.assertEqual(style.check(self.root), [])
        self.write("consumer/base/long.c", function(61))
        self.write("consumer/base/wide.h", "\t" * 12 + "12345\n")
        self.write("consumer/base/blank.h", "x \n")
        self.write("consumer/base/large.c", "\n" * 801)
        self.write("tests/long.py", "class A:\n    def f(self):\n" + "        x\n" * 60 + "x = 1\n")
        self.assertEqual([p.split(": ")[0] for p in style.check(self.root)],
                         ["consumer/base/blank.h:1", "consumer/base/large.c:1",
                          "consumer/base/long.c:2", "consumer/base/wide.h:1", "tests/long.py:2"])

    def test_a_long_readme_is_found(self):
        self.write("README.md", "x\n" * 150)
        self.assertEqual(style.check(self.root), [])
        self.write("README.md", "x\n" * 151)
        self.assertEqual(style.check(self.root), ["README.md:1: 151 lines; 150 are the limit"])


class Migrations(Tree):
    def check(self, *names, folder="migrations"):
        shutil.rmtree(os.path.join(self.root, "migrations"), ignore_errors=True)
        os.makedirs(os.path.join(self.root, folder))
        for name in names:
            self.write(f"{folder}/{name}.sql", "")
        return migrations.check(self.root)

    def test_gaps_and_lonely_files_are_found(self):
        pair = "000001_a.up", "000001_a.down"
        self.assertEqual(self.check(*pair), [])
        self.assertIn("000001_a has only its up file", self.check(pair[0])[0])
        self.assertIn("number 1 is missing", self.check("000002_a.up", "000002_a.down")[0])
        self.assertIn("not named", self.check(*pair, "2_b.up")[0])
        self.assertIn("000001_a and 000001_b",
                      self.check(*pair, "000001_b.up", "000001_b.down")[0])
        maeve = {"folder": "migrations/maeve"}
        self.assertEqual(self.check(*pair, **maeve), [])
        self.assertIn("000001_a has only its up file", self.check(pair[0], **maeve)[0])


class Readme(Tree):
    def test_a_table_that_differs_is_found_and_fixed(self):
        binary = self.write("binary", "#!/bin/sh\necho '| setting |'\n")
        os.chmod(binary, 0o755)
        self.write("docs/metrics.md", "<!-- metrics -->\n\n| setting |\n\n<!-- /metrics -->\n")
        path = self.write("docs/settings.md", "# x\n\n<!-- settings -->\n\n| old |\n\n"
                                              "<!-- /settings -->\n\ny\n")
        self.assertTrue(readme.check(self.root, binary)[0].startswith("docs/settings.md:3: dif"))
        self.assertEqual(readme.check(self.root, binary, fix=True), [])
        self.assertEqual(readme.check(self.root, binary), [])
        with open(path) as f:
            self.assertEqual(f.read(), "# x\n\n<!-- settings -->\n\n| setting |\n\n"
                                       "<!-- /settings -->\n\ny\n")

    def test_a_test_that_does_not_exist_is_found(self):
        self.write("tests/integration/test_a.py", "def test_one():\n    pass\n")
        self.write("README.md", "`test_a.py::test_one`\n`test_a.py::test_two`\n"
                   "`test_b.py::test_one`\n")
        self.write("tests/unit/test_c.c", "static void it_is_true(void **state)\n")
        self.write("tests/integration/store/d.c", "static void token_is_set(void **state)\n")
        self.write("docs/store.md", "| Call | Test |\n|---|---|\n| `f` | `token_is_set` |\n"
                   "| `g` | `token_is_lost` |\n\n| A | B |\n| `a` | `b` |\n")
        self.write("tests/README.md", "`test_one`\n`test_three`\n`test_c.c::it_is_true`\n"
                   "`test_c.c::it_is_false`\n")
        self.assertEqual([p.split(":")[:2] for p in readme.check_tests(self.root)], [
            ["README.md", "2"], ["README.md", "3"], ["tests/README.md", "4"],
            ["tests/README.md", "2"], ["docs/store.md", "4"]])


class Architecture(Tree):
    def test_functions_and_types_that_do_not_exist_are_found(self):
        self.write("consumer/a/a.c", "static bool a_do(int x,\n\tint y)\n{\n\ta_say(x);\n}\n"
                   "bool a_later(void);\n\nvoid a_end(void)\n{\n}\n")
        self.write("consumer/a/a.h", "enum a_state {\n\tA_ONE,\n};\nstruct a;\n")
        self.write("ARCHITECTURE.md", "1. `a/a.c:a_do` `a/a.c:a_end`, `enum a_state`, `a_say()`\n"
                   "`a/a.c:a_say`\n`a/b.c:a_do`\n`a/a.c:a_later`\n`enum a_phase`\n`a_none()`\n")
        self.assertEqual([p.split(": ")[0] for p in architecture.check(self.root)],
                         [f"ARCHITECTURE.md:{n}" for n in (2, 3, 4, 5, 6)])


class Words(Tree):
    def test_phrases_of_the_list_are_found_but_not_where_they_are_right(self):
        self.write("tests/lint/words.txt", "# x\n\\bbehind\\b = after\nok \\bis behind\\b\n"
                   "\\bmend(s|ed)?\\b = fix\n")
        self.write("README.md", "The replica is behind.\nIt stands behind it.\n")
        self.write("ARCHITECTURE.md", "Mended.\n\n## Glossary\n\n| fix | mend |\n")
        self.write("consumer/a/a.c", "/* recommended */\nf(\"mend it\");\nint schema_behind;\n")
        self.write("tests/golden/a.txt", "behind\n")
        self.assertEqual([p.split(": ")[0] for p in words.check(self.root)],
                         ["ARCHITECTURE.md:1", "README.md:2", "consumer/a/a.c:2"])


class PlantedBugs(Tree):
    def problems(self, text, good, broken):
        self.write("consumer/a.c", text)
        return planted.lint(self.root, {"bug": planted.Bug([("consumer/a.c", good, broken)], "")})

    def test_edits_that_do_not_fit_the_source_are_found(self):
        self.assertEqual(self.problems("f(1);\ng(1);\n", "f(1);", "f(2);"), [])
        self.assertEqual(len(self.problems("f(3);\n", "f(1);", "f(2);")), 1)
        self.assertEqual(len(self.problems("f(1);\nf(1);\n", "f(1);", "f(2);")), 1)
        self.assertEqual(len(self.problems("f(1);\n", "f(1);", "f(1);")), 1)

    def test_there_are_as_many_as_promised(self):
        self.assertGreaterEqual(len(planted.BUGS), 20)


class Links(Tree):
    def test_links_and_anchors_that_lead_nowhere_are_found(self):
        self.write("docs/a.md", "# Of A, and `B`\n\n## Same\n\n## Same\n\n[x](../README.md#top)\n"
                   "[y](b.md)\n```\n# No heading\n```\n[z](#no-heading)\n")
        self.write("README.md", "# Top\n\n[a](docs/a.md#of-a-and-b) [b](docs/a.md#same-1)\n"
                   "[c](docs/a.md#same-2) [d](https://x.example/#y) [docs](docs)\n\n"
                   "    [code](nowhere.md)\n\n`[code](nowhere.md)` [e](consumer/x.c)\n")
        self.write("consumer/a/README.md", "[up](../../README.md) [out](../../../README.md)\n")
        self.assertEqual([p.split(": ")[0] for p in links.check(self.root)], [
            "README.md:4", "README.md:8", "consumer/a/README.md:1", "docs/a.md:8", "docs/a.md:12"])

    def test_documents_that_comments_name_are_looked_for(self):
        self.write("docs/a.md", "# A\n")
        self.write("consumer/a/README.md", "# B\n")
        self.write("consumer/a/a.c", "/* see docs/a.md#a and README.md */\n/* see docs/b.md */\n"
                   "/* see docs/a.md#b */\n")
        self.assertEqual([p.split(": ")[0] for p in links.check(self.root)],
                         ["consumer/a/a.c:2", "consumer/a/a.c:3"])


if __name__ == "__main__":
    unittest.main()
