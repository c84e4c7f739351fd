"""Options as PopTorch keeps them: known keys of one type each, frozen once a model was made with them."""

import copy


class OptionsDict:
    def __init__(self, **values):
        self._is_frozen = False
        self._recorded = {}
        self._values = values

    def checkIsFrozen(self, option=None):
        if self.__dict__.get("_is_frozen") and option != "_is_frozen":
            raise AttributeError("Can't modify frozen Options")

    def set(self, **values):
        self.checkIsFrozen()
        for key, value in values.items():
            assert key in self._values, f"Invalid option {key}, valid options are {list(self._values)}"
            wanted = type(self._values[key])
            assert isinstance(value, wanted), f"Unexpected type {type(value)} for option {key}. Expected {wanted}"
            self._values[key] = value

    def createOrSet(self, **values):
        self.checkIsFrozen()
        for key, value in values.items():
            if key in self._values:
                self.set(**{key: value})
            else:
                self._values[key] = value

    def exists(self, option):
        return option in self._values

    def recorded(self):
        return self._recorded

    def toDict(self):
        return dict(self._values)

    def _frozen(self, state):
        for part in (self, *self.__dict__.values()):
            if hasattr(type(part), "checkIsFrozen"):
                part.__dict__["_is_frozen"] = state

    def _freeze(self):
        self._frozen(True)

    def _unfreeze(self):
        self._frozen(False)

    def __getattr__(self, option):
        values = self.__dict__.get("_values", {})
        if option.startswith("_") or option not in values:
            raise AttributeError(f"Invalid attribute {option}.")
        return values[option]

    def __setattr__(self, option, value):
        self.checkIsFrozen(option)
        if not option.startswith("_"):
            self.set(**{option: value})
        elif "_values" in self.__dict__ and option not in self.__dict__:
            raise AttributeError(f"Invalid private attribute {option}.")
        else:
            self.__dict__[option] = value

    def clone(self):
        same = copy.deepcopy(self)
        same._unfreeze()
        return same

    def __deepcopy__(self, memory):
        same = self.__class__.__new__(self.__class__)
        memory[id(self)] = same
        same.__dict__.update({key: copy.deepcopy(value, memory) for key, value in self.__dict__.items()})
        return same
