"""The command that looks at the installation."""


def doctor() -> None:
    """Versions, extras, detectors, GPU, network use, and what is wrong with the installation."""
    from actionpose.cli.doctor import report

    print(report())
