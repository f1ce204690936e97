"""The command `sindbad`. Each group of commands is a thin file; `--help` imports none of what they run."""

from __future__ import annotations

import sys

import typer

from sindbad import __version__
from sindbad.cli import (
    ask,
    coldstart,
    corpus,
    corpus_pairs,
    curate,
    demo,
    evaluate,
    evaluate_harness,
    evaluate_texts,
    graph,
    index,
    merge,
    pipeline,
    quantize,
    questions,
    recipe,
    services,
    tools,
    train,
    tune,
)

app = typer.Typer(
    name="sindbad",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train and serve long-horizon research agents in any language, Arabic first.",
)
app.command()(ask.ask)
app.command()(demo.demo)
app.command()(tune.tune)
app.command()(services.up)
app.command()(services.down)
app.command()(services.status)
app.command()(pipeline.report)
app.command()(recipe.recipe)
app.command()(merge.merge)
app.command()(quantize.quantize)
app.add_typer(coldstart.app, name="coldstart")
corpus_pairs.register(corpus.app)
app.add_typer(corpus.app, name="corpus")
app.add_typer(train.app, name="train")
app.add_typer(curate.app, name="curate")
evaluate_texts.register(evaluate.app)
evaluate_harness.register(evaluate.app)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(graph.app, name="graph")
app.add_typer(questions.app, name="questions")
app.add_typer(index.app, name="index")
app.add_typer(tools.app, name="tools")
app.add_typer(pipeline.app, name="pipeline")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point: Sindbad's errors and the system's become one line, and exit code 1."""
    from sindbad.cli.failing import told
    from sindbad.errors import SindbadError

    try:
        app()
    except SindbadError as error:
        typer.echo(f"sindbad: {told(error)}", err=True)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written, a file that is none
        typer.echo(f"sindbad: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except RuntimeError as error:
        typer.echo(f"sindbad: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
