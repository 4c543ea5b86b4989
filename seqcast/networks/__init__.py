"""The forecasting network, in torch only: windows in, forecasts out. It knows no frames."""
