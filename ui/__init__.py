"""The user interface: Streamlit pages over the same commands and results that everybody else uses."""
