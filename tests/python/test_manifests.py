"""The files of packaging/engines: their commands make one run together, and each exit code has its consequence."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import unittest
import unittest.mock

from support import ROOT, Case, skufetch

FOLDER = ROOT / "packaging" / "engines"
PAGE = (ROOT / "docs" / "scale.md").read_text()
#: What a person must mend, whichever shard it is.
FINAL = {2, 65, 66, 73, 77, 78}
#: What another try of a shard may mend.
RETRIED = {69, 74, 75}
KEYS = [f"{number:04}" for number in range(60)]


def _yaml(name: str) -> list[dict]:
    import yaml

    return list(yaml.safe_load_all((FOLDER / name).read_text()))


class Manifests(Case):
    """What the tests share."""

    def setUp(self) -> None:
        super().setUp()
        pathlib.Path("products.csv").write_text("sku\n" + "\n".join(KEYS) + "\n")

    def run_words(self, words: list[str], variables: dict[str, str], code: int = 0) -> None:
        """Runs the arguments of a container, with its variables in the place of $(NAME)."""
        origin = self.api.url.partition("/products")[0]
        words = [re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], word) for word in words]
        words = [word.replace("https://api.example.com", origin) for word in words]
        environment = {**os.environ, **variables, "API_TOKEN": "s3cret"}
        ended = subprocess.run(
            [skufetch.find_binary(), *words], env=environment, capture_output=True, text=True, check=False
        )
        self.assertEqual(ended.returncode, code, ended.stderr)

    def assert_whole(self) -> None:
        self.assertEqual(list(dict(skufetch.read("out.json"))), KEYS)
        self.assertEqual(self.api.skus(), KEYS)
        self.assertEqual({one["headers"]["authorization"] for one in self.api.seen}, {"Bearer s3cret"})

    def clear(self) -> None:
        self.api.seen.clear()
        subprocess.run(["rm", "-rf", "out.json", "out.json.parts", "out.json.state"], check=True)


class Files(Manifests):
    def test_what_the_page_links_to_is_there(self) -> None:
        linked = set(re.findall(r"\]\(\.\./packaging/engines/([\w.-]+)\)", PAGE))
        there = {path.name for path in FOLDER.iterdir() if path.is_file()}
        self.assertEqual(linked, there)

    def test_the_array_of_slurm(self) -> None:
        array, merge = (FOLDER / "slurm-array.sh").read_text(), (FOLDER / "slurm-merge.sh").read_text()
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "skufetch").symlink_to(skufetch.find_binary())
        # What srun does with one task, and no node.
        (bin_folder / "srun").write_text('#!/bin/sh\nshift\nexec "$@"\n')
        (bin_folder / "srun").chmod(0o755)
        path = f"{bin_folder}:{os.environ['PATH']}"
        origin = self.api.url.partition("/products")[0]

        def run(text: str, **variables: str) -> int:
            text = text.replace("https://api.example.com", origin)
            environment = {**os.environ, "PATH": path, "API_TOKEN": "s3cret", **variables}
            words = ["bash", "-c", text, "script", "monday"]
            return subprocess.run(words, env=environment, capture_output=True, check=False).returncode

        self.assertEqual(run(merge), 65)
        for number in range(16):
            self.assertEqual(run(array, SLURM_ARRAY_TASK_ID=str(number)), 0)
        self.assertEqual(run(merge), 0)
        self.assert_whole()
        self.assertIn("#SBATCH --array=0-15%4", array)
        # Another stand-in ends with each exit code.
        (bin_folder / "srun").write_text('#!/bin/sh\nexit "$CODE"\n')
        for code in sorted({0} | FINAL | RETRIED | {130, 137, 143}):
            with self.subTest(code):
                wanted = code if code in FINAL or code == 0 else 75
                self.assertEqual(run(array, CODE=str(code)), wanted)
                self.assertEqual(run(array, CODE=str(code), SLURM_RESTART_COUNT="10"), code)

    def test_the_jobs_of_aws_batch(self) -> None:
        names = ("job-definition", "shards", "merge")
        definition, shards, merge = (json.loads((FOLDER / f"aws-batch-{name}.json").read_text()) for name in names)
        count = shards["arrayProperties"]["size"]
        for number in range(count):
            self.run_words(shards["containerOverrides"]["command"], {"AWS_BATCH_JOB_ARRAY_INDEX": str(number)})
        self.run_words(merge["containerOverrides"]["command"], {})
        self.assert_whole()
        rules = definition["retryStrategy"]["evaluateOnExit"]
        retried = {rule.get("onExitCode") for rule in rules if rule["action"] == "RETRY"} - {None}
        self.assertEqual(retried, {str(code) for code in RETRIED})
        # The service takes five rules at most; the last one is for all else.
        self.assertEqual((len(rules), rules[-1]), (5, {"onExitCode": "*", "action": "EXIT"}))

    @unittest.skipUnless(importlib.util.find_spec("botocore"), "there is no botocore")
    def test_aws_takes_the_jobs(self) -> None:
        import botocore.session
        import botocore.validate

        model = botocore.session.get_session().get_service_model("batch")
        operations = {"job-definition": "RegisterJobDefinition", "shards": "SubmitJob", "merge": "SubmitJob"}
        for name, operation in operations.items():
            given = json.loads((FOLDER / f"aws-batch-{name}.json").read_text())
            shape = model.operation_model(operation).input_shape
            report = botocore.validate.ParamValidator().validate(given, shape)
            self.assertFalse(report.has_errors(), report.generate_report())

    def test_the_dag_of_airflow(self) -> None:
        text = (FOLDER / "airflow_dag.py").read_text()
        tasks: dict[str, object] = {}

        class Failed(Exception):
            pass

        class Task:
            def __init__(self, function) -> None:
                self.function = function
                tasks[function.__name__] = self

            def __call__(self) -> Task:
                return self

            def expand(self, shard: list[int]) -> Task:
                self.shards = shard
                return self

            def __rshift__(self, other: Task) -> None:
                self.then = other

        def task(function=None, **_options: object):
            return Task if function is None else Task(function)

        # Airflow itself is a large installation: what the file uses of it is little.
        sdk, exceptions = types.ModuleType("airflow.sdk"), types.ModuleType("airflow.exceptions")
        sdk.dag, sdk.task = (lambda **_options: lambda function: function), task
        exceptions.AirflowFailException = Failed
        modules = {"airflow": types.ModuleType("airflow"), "airflow.sdk": sdk, "airflow.exceptions": exceptions}
        names: dict[str, object] = {"__name__": "airflow_dag"}
        with unittest.mock.patch.dict(sys.modules, modules):
            exec(compile(ast.parse(text), "airflow_dag.py", "exec"), names)
        names["FOLDER"], names["URL"] = str(self.folder), self.api.url
        (self.folder / "skufetch").write_text(f'#!/bin/sh\nexec "{skufetch.find_binary()}" "$@" 2>messages\n')
        (self.folder / "skufetch").chmod(0o755)
        variables = {"PATH": f"{self.folder}:{os.environ['PATH']}", "API_TOKEN": "s3cret"}
        with unittest.mock.patch.dict(os.environ, variables):
            with self.assertRaises(Failed):
                tasks["merge"].function(ds="2026-11-28")
            for shard in tasks["fetch"].shards:
                tasks["fetch"].function(shard, ds="2026-11-28")
            tasks["fetch"].then.function(ds="2026-11-28")
        self.assert_whole()
        self.assertEqual(names["FINAL"] - {1, 76}, FINAL)
        self.assertFalse(names["FINAL"] & RETRIED)


@unittest.skipUnless(
    importlib.util.find_spec("yaml") is not None or os.environ.get("SKUFETCH_YAML") == "1", "there is no PyYAML"
)
class Kubernetes(Manifests):
    def jobs(self) -> dict[str, dict]:
        """The specifications of all jobs."""
        nightly = {one["metadata"]["name"]: one["spec"] for one in _yaml("kubernetes-nightly.yaml") if "spec" in one}
        return {
            "shards": _yaml("kubernetes-shards.yaml")[0]["spec"],
            "merge": _yaml("kubernetes-merge.yaml")[0]["spec"],
            "nightly shards": nightly["catalogue-shards"]["jobTemplate"]["spec"],
            "nightly": nightly["catalogue"]["jobTemplate"]["spec"],
        }

    def test_their_commands_make_one_run(self) -> None:
        jobs = self.jobs()
        words = {name: job["template"]["spec"]["containers"][0]["args"] for name, job in jobs.items()}
        name = _yaml("kubernetes-shards.yaml")[0]["metadata"]["name"]
        for shards, merge, run, night in (
            ("shards", "merge", name, ""),
            ("nightly shards", "nightly", "catalogue-29371234-shards", "catalogue-29371234"),
        ):
            self.clear()
            self.run_words(words[merge], {"NIGHT": night}, 65)
            for number in range(jobs[shards]["completions"]):
                self.run_words(words[shards], {"JOB_COMPLETION_INDEX": str(number), "RUN_ID": run})
            self.run_words(words[merge], {"NIGHT": night})
            self.assert_whole()

    def test_every_exit_code_has_its_consequence(self) -> None:
        for name, job in self.jobs().items():
            with self.subTest(name):
                rules = job["podFailurePolicy"]["rules"]
                self.assertEqual(rules[0], {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]})
                pod = job["template"]["spec"]
                # Kubernetes takes a policy for exit codes with this alone.
                self.assertEqual(pod["restartPolicy"], "Never")
                self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], 20)
                given_up = {
                    code
                    for rule in rules
                    if rule["action"] == "FailJob" and rule["onExitCodes"]["containerName"] == "skufetch"
                    for code in rule["onExitCodes"]["values"]
                }
                if "shards" in name:
                    self.assertEqual(given_up, FINAL)
                    self.assertEqual((job["completionMode"], job["backoffLimitPerIndex"]), ("Indexed", 6))
                    self.assertIn(f"--shard=auto/{job['completions']}", pod["containers"][0]["args"])
                else:
                    self.assertEqual(given_up, FINAL | {1, 69, 76})
                names = {container["name"] for container in pod["containers"] + pod.get("initContainers", [])}
                named = {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule}
                self.assertLessEqual(named, names)

    def test_both_ways_to_the_shards_are_alike(self) -> None:
        jobs = self.jobs()
        nightly = {**jobs["nightly shards"]}
        self.assertGreater(nightly.pop("ttlSecondsAfterFinished"), 0)
        self.assertEqual(nightly, jobs["shards"])

    def test_the_pod_that_waits_for_the_shards(self) -> None:
        pod = self.jobs()["nightly"]["template"]["spec"]
        script = pod["initContainers"][0]["command"]
        self.assertEqual(script[:2], ["/bin/sh", "-c"])
        kubectl = self.folder / "kubectl"
        # A server that has the Job once it is made; what becomes of it comes at the second look.
        kubectl.write_text(
            "#!/bin/sh\n"
            'echo "$*" >>calls\n'
            'case "$*" in\n'
            '  *jsonpath*) [ -e looked ] && echo "SuccessCriteriaMet $STATE"; touch looked ;;\n'
            "  get*) [ -e made ] ;;\n"
            "  create*) touch made ;;\n"
            "esac\n"
        )
        kubectl.chmod(0o755)
        (self.folder / "sleep").write_text("#!/bin/sh\n")
        (self.folder / "sleep").chmod(0o755)
        for state, code in (("Complete", 0), ("Failed", 2)):
            subprocess.run(["rm", "-f", "made", "looked", "calls"], check=True)
            environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "NIGHT": "n-1", "STATE": state}
            ended = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, code, ended.stderr)
            calls = pathlib.Path("calls").read_text()
            self.assertIn("create job n-1-shards --from=cronjob/catalogue-shards\n", calls)
            subprocess.run(script, env=environment, capture_output=True, check=False)
            self.assertEqual(pathlib.Path("calls").read_text().count("create job"), 1, "another pod finds the Job")
        role = next(one for one in _yaml("kubernetes-nightly.yaml") if one["kind"] == "Role")
        allowed = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
        self.assertEqual(allowed, {"cronjobs": {"get"}, "jobs": {"create", "get"}})


if __name__ == "__main__":
    unittest.main()
