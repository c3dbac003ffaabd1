"""The files of packaging/container: their commands run, and their settings are those that docs/containers.md gives."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import unittest

from support import ROOT, Case, skufetch

FOLDER = ROOT / "packaging" / "container"
#: The exit codes that another try may mend (packaging/systemd/skufetch@.service tries the same again).
RETRIED = {69, 74, 75}


@unittest.skipUnless(
    importlib.util.find_spec("yaml") is not None or os.environ.get("SKUFETCH_YAML") == "1", "there is no PyYAML"
)
class Container(Case):
    def setUp(self) -> None:
        super().setUp()
        import yaml

        self.compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["catalogue"]
        self.cron = yaml.safe_load((FOLDER / "cronjob.yaml").read_text())
        self.job = self.cron["spec"]["jobTemplate"]["spec"]
        self.pod = self.job["template"]["spec"]
        self.container = self.pod["containers"][0]
        self.dockerfile = (FOLDER / "Dockerfile").read_text()
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
        assert version is not None
        self.image = f"skufetch:{version[1]}"

    def test_their_commands_run(self) -> None:
        pathlib.Path("products.csv").write_text("sku\n0001\n0002\n")
        for name, words in (("compose", self.compose["command"]), ("cronjob", self.container["args"])):
            with self.subTest(name):
                self.api.seen.clear()
                pathlib.Path("out.json").unlink(missing_ok=True)
                words = [word.replace("$$", "$") if name == "compose" else word for word in words]
                url = next(word for word in words if word.startswith("--url="))
                self.assertIn("--url=https://api.example.com/products/{sku}", url)
                origin = self.api.url.partition("/products")[0]
                words = [word.replace("https://api.example.com", origin) for word in words]
                environment = {**os.environ, "API_TOKEN": "s3cret"}
                ended = subprocess.run(
                    [skufetch.find_binary(), *words], env=environment, capture_output=True, text=True, check=False
                )
                self.assertEqual(ended.returncode, 0, ended.stderr)
                self.assertEqual(list(dict(skufetch.read("out.json"))), ["0001", "0002"])
                self.assertEqual({one["headers"]["authorization"] for one in self.api.seen}, {"Bearer s3cret"})

    def test_every_exit_code_is_either_tried_again_or_not(self) -> None:
        from skufetch._errors import _BY_CODE

        given_up = set()
        for rule in self.job["podFailurePolicy"]["rules"]:
            if rule["action"] == "FailJob":
                self.assertEqual(rule["onExitCodes"]["containerName"], self.container["name"])
                given_up |= set(rule["onExitCodes"]["values"])
        self.assertEqual(given_up | RETRIED, set(_BY_CODE))
        self.assertFalse(given_up & RETRIED)
        unit = (ROOT / "packaging" / "systemd" / "skufetch@.service").read_text()
        prevented = re.search(r"^RestartPreventExitStatus=(.*)", unit, re.MULTILINE)
        assert prevented is not None
        self.assertEqual(given_up - {1}, set(map(int, prevented[1].split())))
        # Kubernetes takes a policy for exit codes with this alone.
        self.assertEqual(self.pod["restartPolicy"], "Never")
        self.assertEqual(self.cron["spec"]["concurrencyPolicy"], "Forbid")
        self.assertGreater(self.job["backoffLimit"], 0)

    def test_the_root_is_read_only_and_what_is_written_has_a_place(self) -> None:
        self.assertTrue(self.compose["read_only"])
        security = self.container["securityContext"]
        self.assertTrue(security["readOnlyRootFilesystem"])
        self.assertFalse(security["allowPrivilegeEscalation"])
        self.assertEqual((security["capabilities"]["drop"], self.compose["cap_drop"]), (["ALL"], ["ALL"]))
        mounts = {mount["mountPath"]: mount for mount in self.container["volumeMounts"]}
        self.assertFalse([path for path, mount in mounts.items() if "subPath" in mount], "a file is no folder")
        temporary = {one["name"]: one["value"] for one in self.container["env"] if "value" in one}["TMPDIR"]
        workdir = re.search(r"^WORKDIR (/data)$", self.dockerfile, re.MULTILINE)
        assert workdir is not None
        self.assertEqual(set(mounts), {temporary, workdir[1]})
        self.assertEqual([volume.partition(":")[2] for volume in self.compose["volumes"]], [workdir[1]])
        self.assertEqual([mount.partition(":")[0] for mount in self.compose["tmpfs"]], [temporary])
        self.assertIn(f"ENV TMPDIR={temporary}\n", self.dockerfile)

    def test_signals_reach_the_command_in_time(self) -> None:
        entry = re.search(r"^ENTRYPOINT (\[.*\])$", self.dockerfile, re.MULTILINE)
        assert entry is not None
        self.assertEqual(json.loads(entry[1]), ["/usr/bin/skufetch"], "no shell stands before it")
        self.assertNotIn("command", self.container)
        # The drain takes up to 10 s.
        self.assertGreaterEqual(self.pod["terminationGracePeriodSeconds"], 20)
        self.assertGreaterEqual(int(self.compose["stop_grace_period"].rstrip("s")), 20)

    def test_users_and_versions_agree(self) -> None:
        user = re.search(r"^USER (\d+):(\d+)$", self.dockerfile, re.MULTILINE)
        assert user is not None
        context = self.pod["securityContext"]
        self.assertEqual((int(user[1]), int(user[2])), (context["runAsUser"], context["runAsGroup"]))
        self.assertEqual(context["fsGroup"], context["runAsGroup"])
        self.assertTrue(context["runAsNonRoot"])
        self.assertIn(f"skufetch:x:{user[1]}:{user[2]}:", (FOLDER / "assemble-root").read_text())
        page = (ROOT / "docs" / "containers.md").read_text()
        for text in (self.compose["image"], self.container["image"]):
            self.assertEqual(text, self.image)
        for image in re.findall(r"skufetch:\d[\w.]*", page + self.dockerfile):
            self.assertEqual(image, self.image)


class Page(Case):
    def test_options_and_files_of_the_page_are_there(self) -> None:
        from skufetch._binary import options_of

        page = (ROOT / "docs" / "containers.md").read_text()
        known = set(options_of(skufetch.find_binary()))
        # Those of docker and of the scripts.
        other = {"rm", "read-only", "user", "tmpfs", "init", "file", "lint", "from-literal"}
        named = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", page))
        self.assertLessEqual(named, known | other)
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page):
            self.assertTrue((ROOT / "docs" / link).exists(), link)


if __name__ == "__main__":
    unittest.main()
