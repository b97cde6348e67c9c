"""What the command line says of itself."""

from __future__ import annotations

TRAINING = {
    "fit": "train a method on a data set and write a run folder",
    "validate": "measure the accuracy of trained weights on the evaluation sets",
    "test": "measure the accuracy of trained weights on the test set",
    "predict": "write the class probabilities of the training set to the run folder",
}
EXAMPLES = """\
examples:
  noisylearn demo
  noisylearn fit --model ELR --model.backbone digits_cnn --data Digits --data.noise_rate 0.4 --trainer.max_epochs 20
  noisylearn fit --recipe cifar10n/elr --recipe cifar10n/small
  noisylearn fit --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/last.ckpt    (resume)
  noisylearn test --config runs/mine/config.yaml
  noisylearn report runs/mine
  noisylearn list methods
"""
_OPTIONS = (
    "`--model.ARGUMENT VALUE` and `--data.ARGUMENT VALUE` set what `--model.help ELR` and `--data.help Digits` list. "
    "`--recipe NAME` stands for that recipe's files, e.g. `--recipe digits/elr`; a later one overrides an earlier one "
    "(`noisylearn list recipes`). Arguments of the method that none of these set have the values that its authors use "
    "on such data with such noise, where they are known; `--preset none` leaves them at their defaults."
)
_WEIGHTS = "The weights are those of `--ckpt_path`, else the last checkpoint of the run folder."


def training_help(command: str) -> dict[str, str]:
    """Return usage and description of a training command, for its parser.

    Args:
        command: One of `TRAINING`.

    Example:
        >>> print(training_help("test")["usage"])
        noisylearn test --config RUN/config.yaml [--ckpt_path FILE] [options]
               noisylearn test --recipe NAME [--recipe NAME ...] --run RUN [options]
    """
    usage: tuple[str, ...]
    if command == "fit":
        usage = (
            "--model NAME --data NAME [--run RUN] [options]",
            "--recipe NAME [--recipe NAME ...] [--seed_everything SEED] [options]",
            "--config RUN/config.yaml --ckpt_path RUN/checkpoints/last.ckpt",
        )
    else:
        usage = (
            "--config RUN/config.yaml [--ckpt_path FILE] [options]",
            "--recipe NAME [--recipe NAME ...] --run RUN [options]",
        )
    what = f"{TRAINING[command].capitalize()}. {_OPTIONS}"
    return {
        "usage": "\n       ".join(f"noisylearn {command} {line}" for line in usage),
        "description": what if command == "fit" else f"{what} {_WEIGHTS}",
    }
