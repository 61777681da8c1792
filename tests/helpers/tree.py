"""AMASS, BABEL and body models in a folder, all imitated."""

from helpers.amass import touch_all, write_tree
from helpers.bodies import write_bodies

from actionpose.prepare.amass.build import prepare


class Tree:
    """Where the imitations lie, and how to prepare them."""

    def __init__(self, folder, num_files=200, **settings):
        self.folder = folder
        self.made = write_tree(folder, num_files, **settings)
        self.bodies, self.regressor = write_bodies(folder / "bodies")
        touch_all(folder)

    def prepare(self, out, **settings):
        given = {"body_model": self.bodies / "smplh", "regressor": self.regressor} | settings
        return prepare(self.folder / "AMASS", self.folder / "BABEL", out, **given)

    def command(self, *more):
        places = [str(self.folder / "AMASS"), str(self.folder / "BABEL")]
        options = ["--body-model", str(self.bodies), "--regressor", str(self.regressor)]
        return ["prepare", "amass-babel", *places, *options, *map(str, more)]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
