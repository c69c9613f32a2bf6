"""What two runs of a suite say of each other."""


class Difference:
    """One thing that is worse on ours: `test` is its name, None if it is the run as a whole."""

    def __init__(self, test, stock, ours):
        self.test = test
        self.stock = stock
        self.ours = ours
        self.again = None

    def __str__(self):
        text = "{}: {} on ours, {} on stock".format(self.test or "the run as a whole", self.ours, self.stock)
        return text if self.again is None else "{}; alone: {} on ours, {} on stock".format(text, *self.again)

    def tried_again(self, stock, ours):
        """What the same gave when it ran once more, alone, on both."""
        self.again = (ours, stock)

    @property
    def verdict(self):
        """No verdict makes it equal: a test that fails now and then may be a fault that happens now and then."""
        if self.again is None:
            return "differs"
        ours, stock = self.again
        if stock == self.ours:
            return "fails on stock too, alone"
        return "failed once, passed alone" if ours == stock else "differs"


def differences(stock, ours):
    """All that is worse on ours."""
    found = []
    if ours.is_lost or ours.outcome != stock.outcome and ours.outcome:
        found.append(Difference(None, stock.outcome or "well", ours.outcome or "it did not come to its end"))
    for test in sorted(set(stock.tests) | set(ours.tests)):
        theirs, mine = stock.status(test), ours.status(test)
        if mine == "failed" and theirs != "failed":
            found.append(Difference(test, theirs or "not run", mine))
        elif theirs is not None and mine is None and not ours.is_lost:
            found.append(Difference(test, theirs, "not run"))
        elif theirs == "passed" and mine == "skipped":
            found.append(Difference(test, theirs, mine))
        elif theirs == mine and len(ours.tests[test]) < len(stock.tests[test]) and not ours.is_lost:
            found.append(Difference(
                test, "run %d times" % len(stock.tests[test]), "run %d times" % len(ours.tests[test])))
    # Nothing was compared then, whatever the two have in common.
    if stock.is_lost and not ours.is_lost:
        found.append(Difference(None, stock.outcome or "it did not come to its end", ours.outcome or "well"))
    return found


def notes(stock, ours):
    """What is no worse on ours, and yet is not well."""
    said = []
    for test in sorted(stock.tests):
        if stock.status(test) == "failed" and not stock.is_lost:
            said.append("{}: failed on {}".format(
                test, "both" if ours.status(test) == "failed" else "stock, {} on ours".format(ours.status(test) or "not run")))
    if stock.outcome and not stock.is_lost and ours.outcome in ("", stock.outcome):
        said.append("the run as a whole: {} on {}".format(stock.outcome, "both" if ours.outcome else "stock only"))
    return said
