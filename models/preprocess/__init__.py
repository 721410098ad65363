"""DNN model preprocessing: functions from network to network, alone or in a pipeline written as data."""
