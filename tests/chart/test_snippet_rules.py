"""The rules for pieces of code in the documents say what is wrong with one."""

import pytest

from snippets.blocks import Block, Page
from snippets.rules import problems
from snippets.shell import ShellError, commands
from snippets.yaml_blocks import VERSION
from stalk.extras import wheel

VALUES = Block("docs/page.md", 1, "yaml", "# values.yaml\nworkers: {mail: {queues: [mail]}}\n")
MODULE = Block("docs/page.md", 1, "python", "# shop/celery.py\nfrom celery import Celery\napp = Celery('shop')\n")
FENCES = "".join(f"```{block.language}\n{block.text}```\n\n" for block in (VALUES, MODULE))
PAGE = Page("docs/page.md", FENCES)


def wrong(language: str, text: str) -> str:
    return "\n".join(problems(Block(PAGE.file, 7, language, text), PAGE))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "helm upgrade --install stalk charts/stalk -n stalk --values values.yaml --set api.replicas=2 --wait"),
        ("sh", "kubectl -n stalk get deploy stalk-worker-mail  # the page's own pool"),
        ("sh", "kubectl -n stalk get hpa,scaledobject,pods -l stalk/pool=mail"),
        ("sh", "kubectl -n stalk exec stalk-rabbitmq-0 -c rabbitmq -- rabbitmqctl list_queues name messages"),
        ("sh", "kubectl -n stalk get pods -l 'app.kubernetes.io/component in (redis, rabbitmq)' | grep stalk"),
        ("sh", 'for i in $(seq 60); do curl -s localhost:8000/tasks -H A:b -d \'{"word": "hi"}\'; done'),
        ("sh", f"pip install 'stalk-celery[doctor,plot] @ {wheel()}' && pip install '.[plan]'"),
        ("sh", "stalk topology -A shop.celery:app\nmake test PYTEST=-x && ci/uv lock"),
        ("yaml", "workers: {mail: {queues: [mail]}}"),
        ("python", "import shop.celery\nassert shop.celery.app.main == 'shop'"),
        ("dockerfile", f"FROM ghcr.io/stalk-celery/stalk:{VERSION}\nCOPY shop shop"),
        ("ini", "consumer_timeout = 1500000"),
        ("inline", "workers.<pool>.autoscaling.max"),
        ("inline", "autoscaling.min: 1"),
        ("inline", "--set credentials.generation=2"),
        ("inline", "stalk dead-letters replay"),
        ("sh", "make deploy-kind HELM='--set api.replicas=2'"),
        ("inline", "kubectl rollout restart statefulset stalk-redis"),
        ("inline", "stalk doctor"),
    ],
)
def test_right(language: str, text: str) -> None:
    assert wrong(language, text) == ""


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("rust", "fn main() {}", "no rule for the language `rust`: add one to tests/snippets/rules.py"),
        ("", "request -> API", "no rule for the language"),
        ("sh", "", "no command"),
        ("sh", "terraform apply", "no rule for the program terraform: add one"),
        ("sh", "echo 'open", "No closing quotation"),
        ("sh", "kubectl apply -f - <<EOF", "here-document"),
        ("sh", "export NOBODY_READS_THIS=1", "nothing reads NOBODY_READS_THIS"),
        ("sh", "helm install stalk charts/stalk --no-such-flag", "unknown flag: --no-such-flag"),
        ("sh", "helm install other charts/stalk", "not other"),
        ("sh", "helm install stalk charts/stork", "there is no chart charts/stork"),
        ("sh", "helm install stalk charts/stalk --set api.replica=2", "replica"),
        (
            "sh",
            "helm install stalk charts/stalk --values other.yaml",
            "neither the page nor the repository has other",
        ),
        ("sh", "helm uninstall shop", "not shop"),
        ("sh", "helm lint charts/stalk", "no rule for helm lint"),
        ("sh", "kubectl -n stalk get deploy stalk-worker-images", "a release has no Deployment stalk-worker-images"),
        ("sh", "kubectl -n shop get pods", "which namespace is shop"),
        ("sh", "kubectl -n stalk get gizmos", "kubectl knows no gizmos"),
        ("sh", "kubectl -n stalk get pods --no-such-flag", "in no table"),
        ("sh", "kubectl -n stalk explode pods", "in no table"),
        ("sh", "kubectl -n stalk get pods -l stalk/pool=images", "no Pod has the labels"),
        ("sh", "kubectl -n stalk exec deploy/stalk-api -- rabbitmqctl status", "is rabbitmqctl in"),
        ("sh", "kubectl -n stalk exec deploy/stalk-api -- stalk dead-letters lists", "invalid choice: 'lists'"),
        ("sh", "kubectl -n stalk exec stalk-redis-0 -c rabbitmq -- redis-cli info", "has no container rabbitmq"),
        ("sh", "kubectl -n stalk logs deploy/stalk-web", "a release has no deploy/stalk-web"),
        ("sh", "kubectl -n stalk port-forward service/stalk-api 8000:81", "has no port 81"),
        ("sh", "kubectl -n stalk port-forward service/stalk-web 8000:80", "a release has no Service stalk-web"),
        (
            "sh",
            "kubectl -n stalk get secret stalk-credentials -o go-template='{{index .data \"flower\"}}'",
            "has no key flower",
        ),
        ("sh", "stalk probe alive", "invalid choice: 'alive'"),
        ("sh", "stalk plan --rate 20/s --duration 2s --no-such-option", "--no-such-option"),
        ("sh", "stalk topology -A shop.worker:app", "neither the page nor src has shop/worker.py"),
        ("sh", "make no-such-target", "No rule to make target"),
        ("sh", "make up NOBODY=1", "nothing reads NOBODY"),
        ("sh", "docker compose -f images/no.yaml up", "there is no images/no.yaml"),
        ("sh", "curl http://localhost:8000/no/such/route", "the API has no GET /no/such/route"),
        ("sh", "curl localhost:8000/tasks -d '{\"words\": 1}'", "'word' is a required property"),
        ("sh", "curl -X POST localhost:8000/tasks --json '{\"word\": 1}'", "curl before 7.82"),
        ("sh", "curl http://localhost:9999/", "none of the addresses"),
        ("sh", "pip install 'stalk-celery[dactor]'", "no extra {'dactor'}"),
        ("sh", "pip install 'stalk-celery[doctor]'", "stalk-celery is on no index"),
        ("sh", f"pip install 'stalk-celery[doctor] @ {wheel('0.0.1')}'", f"the wheel of this version is {wheel()}"),
        ("inline", "pip install stalk-celery", "stalk-celery is on no index"),
        ("sh", "python ci/no_such_tool", "there is no ci/no_such_tool"),
        ("sh", "ci/no-such-tool", "there is no program ci/no-such-tool"),
        ("sh", "celery -A shop.celery:app worker --no-such-option", "knows no --no-such-option"),
        (
            "sh",
            "cosign verify ghcr.io/else/where:1 --certificate-identity x",
            "no rule for cosign verify ghcr.io/else/where:1",
        ),
        (
            "sh",
            "cosign verify ghcr.io/stalk-celery/stalk:1 --certificate-identity .github/workflows/no.yaml",
            "no workflow",
        ),
        ("sh", "celery -A shop.celery:app beat", "no rule for celery"),
        ("sh", "rabbitmqctl list_queues name size", "columns that nobody knows: {'size'}"),
        ("sh", "rabbitmqctl delete_queue", "takes 1 to 1 words"),
        ("sh", "git clone https://github.com/else/where", "the repository is"),
        ("console", "$ stalk doctors\n", "invalid choice"),
        ("console", "$ kubectl get pods\n", "ci/docs keeps `console` blocks fresh"),
        ("yaml", "worker: {mail: {}}", "worker"),
        ("yaml", "workers: {mail: {queues: [mail], concurency: 2}}", "concurency"),
        ("yaml", "a: [", "while parsing"),
        ("yaml", "- a list", "no map"),
        ("yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}", "a manifest without a namespace"),
        ("yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: stalk}\nstring: {}", "string"),
        ("yaml", "apiVersion: x.org/v1\nkind: Foo\nmetadata: {name: x, namespace: stalk}", "no schema of x.org/v1/Foo"),
        (
            "yaml",
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: stalk, namespace: stalk}\n"
            "spec: {interval: 5m, values: {worker: {}}}",
            "spec.values",
        ),
        (
            "yaml",
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: stalk, namespace: stalk}\n"
            "spec: {interval: 1h, url: 'oci://ghcr.io/stalk-celery/charts/stalk', ref: {tag: 0.0.1}}",
            "the chart's version is",
        ),
        ("python", "import no_such_module_of_the_page", "ModuleNotFoundError"),
        ("dockerfile", "FROM ubuntu", "FROM ubuntu is neither"),
        ("dockerfile", "COPY shopping shop", "shows no shopping"),
        ("dockerfile", "RUN pip install 'stalk-celery[x]'", "no extra"),
        ("dockerfile", "HEALTHCHECK NONE", "no rule for HEALTHCHECK"),
        ("ini", "consumer_time_out = 1", "has no consumer_time_out"),
        ("erlang", "[{rabbit, [{quorum_tick, 1}]}].", "has no quorum_tick"),
        ("promql", "sum(flower_event_total{})", "the dashboard has no flower_event_total"),
        ("text", "$ kubectl get pods", "a command in a block of text"),
        ("inline", "workers.<pool>.autoscaling.maximum", "values.yaml has no"),
        ("inline", "autoscaling.minimum: 1", "values.yaml has no autoscaling.minimum"),
        ("inline", "--set credentials.generations=2", "generations"),
        ("inline", "stalk doctor --name-space x", "does not know"),
        ("sh", "make deploy-kind HELM='--set api.replica=2'", "replica"),
        ("inline", "make no-such-target", "No rule to make target"),
        ("inline", "stalk doctors", "invalid choice"),
        ("inline", "kubectl rollout restart statefulset stalk-valkey", "a release has no StatefulSet stalk-valkey"),
        ("inline", "helm upgrade stalk charts/stalk --no-such-flag", "unknown flag"),
    ],
)
def test_wrong(language: str, text: str, says: str) -> None:
    assert says in wrong(language, text)


def test_every_command_of_a_line_is_seen() -> None:
    found = commands("A=1 one $(two x) | three > file && { four; }\nif five; then\n  six # seven\nfi")
    assert [command.words[0] for command in found] == ["one", "two", "three", "{", "}", "five", "six"]
    assert found[0].environment == ("A=1",)
    with pytest.raises(ShellError):
        commands("cat <<EOF")


def test_blocks_of_a_page_say_where_they_are() -> None:
    page = Page("a.md", "# A\n\n    make up\n\n```sh\nmake down\n```\n\ntext `make help` text\n")
    assert [(block.where, block.text) for block in page.blocks] == [("a.md:3", "make up\n"), ("a.md:6", "make down\n")]
    assert [(span.where, span.text) for span in page.spans] == [("a.md:9", "make help")]
