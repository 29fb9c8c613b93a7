from lit_delays.training.epoch_table import EpochTable, read_table


def test_an_epoch_is_one_row(tmp_path):
    table = EpochTable(tmp_path)
    table.log_metrics({"epoch": 0, "val/acc": 0.5}, step=3)
    table.log_metrics({"epoch": 0, "train/acc": 0.25}, step=3)
    table.save()
    assert (tmp_path / "metrics.csv").read_text() == "epoch,train/acc,val/acc\n0,0.25,0.5\n"


def test_a_resumed_table_goes_on(tmp_path):
    first = EpochTable(tmp_path)
    first.log_metrics({"epoch": 0, "val/acc": 0.5})
    first.log_metrics({"epoch": 1, "val/acc": 0.6})
    first.save()
    again = EpochTable(tmp_path)
    again.log_metrics({"epoch": 1, "val/acc": 0.7, "sigma": 1.0})
    again.save()
    assert read_table(tmp_path / "metrics.csv") == {
        0: {"val/acc": 0.5},
        1: {"val/acc": 0.7, "sigma": 1.0},
    }


def test_epochs_that_are_made_again_are_forgotten(tmp_path):
    table = EpochTable(tmp_path)
    for epoch in range(3):
        table.log_metrics({"epoch": epoch, "val/acc": 0.5})
    table.drop_from(1)
    table.save()
    assert list(read_table(tmp_path / "metrics.csv")) == [0]


def test_what_is_logged_without_an_epoch_is_not_in_the_table(tmp_path):
    table = EpochTable(tmp_path)
    table.log_metrics({"epoch": 0, "val/acc": 0.5})
    table.log_metrics({"lr-Adam": 0.1}, step=3)
    assert table.rows == {0: {"val/acc": 0.5}}


def test_an_empty_table_leaves_no_file(tmp_path):
    EpochTable(tmp_path / "run").save()
    assert list(tmp_path.iterdir()) == []


def test_the_test_set_is_not_in_the_table(tmp_path):
    table = EpochTable(tmp_path)
    table.log_metrics({"epoch": 1, "test/acc": 0.5})
    table.save()
    assert list(tmp_path.iterdir()) == []
