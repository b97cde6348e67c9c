"""`noisylearn fit | validate | test | predict`: Lightning's own command line over our methods and data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from noisylearn import callbacks
from noisylearn._compat import ModelCheckpoint, lightning_module
from noisylearn.cli.help import TRAINING, training_help
from noisylearn.cli.names import LINKED
from noisylearn.cli.options import read_options
from noisylearn.cli.preset import CHOICES, HELP, ChosenPreset, choose_preset

# Importing the packages makes short class names resolve: `--model ELR --data Digits`.
from noisylearn.data import NoisyDataModule
from noisylearn.methods import NoisyLearner

if TYPE_CHECKING:
    from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
else:
    LightningCLI = lightning_module("cli").LightningCLI
    SaveConfigCallback = lightning_module("cli").SaveConfigCallback


RUN_HELP = "Run folder (default: runs/DATA-MODEL-SEED, with a number behind it where a fit would find one)"


class SaveConfig(SaveConfigCallback):
    """Writes ``config.yaml`` once training starts: a start that fails leaves an earlier run's folder as it was."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Do nothing yet."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Write the file, without the checkpoint that a resumed run began with: it is no part of what was run."""
        self.config = self.config.clone()
        self.config.ckpt_path = None
        # Beside a logger, Lightning would write it where that keeps its files: in place of the run folder.
        here: Any = SimpleNamespace(log_dir=trainer.default_root_dir, strategy=trainer.strategy)
        here.is_global_zero = trainer.is_global_zero
        super().setup(here, pl_module, "fit")


class NoisyCLI(LightningCLI):
    """Fits a method on a data set and writes a run folder."""

    extra_callbacks: Sequence[Any] = ()
    preset: ChosenPreset | None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--run`` and link what the data knows to the model."""
        parser.add_argument("--run", type=str | None, default=None, help=RUN_HELP)
        parser.add_argument("--cell", type=str | None, default=None, help="Name of the table cell the run belongs to")
        parser.add_argument(
            "--reduced", type=bool, default=False, help="Mark a schedule shorter than the published one"
        )
        parser.add_argument("--preset", choices=CHOICES, default="auto", help=HELP)
        for argument, known_as in LINKED.items():
            parser.link_arguments(f"data.{known_as}", f"model.init_args.{argument}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse twice: once for the data and its noise, then with what the method's preset for them adds."""
        super().parse_arguments(parser, [arg for arg in args if not arg.startswith("--print_config")])
        self.preset = choose_preset(self.config[self.config.subcommand], read_options(args[1:]))
        more = [] if self.preset is None else self.preset.options()
        super().parse_arguments(parser, [*args, *more])

    def before_instantiate_classes(self) -> None:
        """Tell of the preset, and put everything that the run writes into its folder."""
        config = self.config[self.subcommand]
        if self.preset is not None and lightning_module("utilities.rank_zero").rank_zero_only.rank == 0:
            tell_of(self.preset, str(self.subcommand))
        if config.get("data.init_args.seed", 0) is None:  # so that another seed gives another order, too
            config.data.init_args.seed = int(config.seed_everything)
        if str(config.get("model.init_args.backbone")).startswith("timm:") and "normalize" in config.data.init_args:
            config.data.init_args.normalize = False  # timm's networks bring a normalisation of their own
        if not config.run:
            names = [config[part].class_path.rsplit(".", 1)[-1] for part in ("data", "model")]
            run = Path("runs", "-".join([*names, str(config.seed_everything)]).lower())
            # All processes of a fit come by here before the first can make the folder: they agree.
            config.run = str(unused(run) if self.subcommand == "fit" else run)
        config.trainer.default_root_dir = config.run
        if config.trainer.logger is None:
            config.trainer.logger = False  # the run folder has metrics.csv; name a logger for more
        bar = [] if config.trainer.enable_progress_bar is False else [lightning_module("callbacks").RichProgressBar()]
        if self.subcommand == "fit":
            own = fit_callbacks(config)
        else:
            own = [callbacks.PredictionWriter()] if self.subcommand == "predict" else []
        self.trainer_defaults["callbacks"] = [*bar, *own, *self.extra_callbacks]
        if self.subcommand != "fit":
            self.save_config_callback = None  # config.yaml is that of the fit

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration alone: a checkpoint restores state, the command line says what is run."""


def tell_of(chosen: ChosenPreset, command: str) -> None:
    """Print which preset is taken, and warn of one that is guessed."""
    print(f"noisylearn {command}: {chosen.told()}", flush=True)
    if chosen.preset.guessed:
        warnings.warn(chosen.preset.warning(), stacklevel=2)


def unused(folder: Path) -> Path:
    """Return the folder, or the first of ``folder-2``, ``folder-3``, ... that does not exist.

    Args:
        folder: The folder.

    Example:
        >>> unused(Path("runs/nothing-is-here")).name
        'nothing-is-here'
    """
    candidates = (folder if n == 1 else folder.with_name(f"{folder.name}-{n}") for n in count(1))
    return next(candidate for candidate in candidates if not candidate.exists())


def fit_callbacks(config: Any) -> list[Any]:
    """Return the callbacks that every fit has: signals, meter, result, exact resume, graceful stop, checkpoint."""
    if config.trainer.fast_dev_run:  # which tries the code, and would leave what looks like a run
        return [callbacks.SignalTracker(), callbacks.MemorizationMeter()]
    folder = str(Path(config.run, "checkpoints"))
    seed = None if isinstance(config.seed_everything, bool) else config.seed_everything
    saving = [
        callbacks.GracefulStop(),
        ModelCheckpoint(folder, filename="{epoch}", save_last=True, enable_version_counter=False),
    ]
    return [
        callbacks.SignalTracker(),
        callbacks.MemorizationMeter(),
        callbacks.SignalWriter(),
        callbacks.ResultWriter(cell=config.cell, seed=seed, reduced=config.reduced),
        callbacks.ExactResume(),
        *([] if config.trainer.enable_checkpointing is False else saving),
    ]


def run_cli(args: list[str], extra_callbacks: Sequence[Any] = ()) -> NoisyCLI:
    """Parse ``args`` and run them.

    Args:
        args: What follows ``noisylearn`` on the command line, e.g. ``["fit", "--model", "ELR", "--data", "Digits"]``.
        extra_callbacks: Callbacks for this call, beyond a fit's own.

    Raises:
        ValueError: An argument's value does not fit, or Lightning cannot do what is asked on this machine.
    """
    cli = type("NoisyCLI", (NoisyCLI,), {"extra_callbacks": extra_callbacks})
    try:
        parsed: NoisyCLI = cli(
            NoisyLearner,
            NoisyDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            load_from_checkpoint_support=False,
            # An error is ours to tell, without a page of usage before it.
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False, **{c: training_help(c) for c in TRAINING}},
            args=args,
        )
    except lightning_module("utilities.exceptions").MisconfigurationException as error:
        raise ValueError(str(error)) from error  # its own kind is known to Lightning alone
    return parsed
