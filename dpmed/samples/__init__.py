"""Generated phantoms: chest CT as DICOM with planted identifiers, BraTS-like NIfTI. No real patient is in them."""

from dpmed.samples.brats import write_brats
from dpmed.samples.covid_ct import write_covid_ct
from dpmed.samples.identities import MAX_PATIENTS, PLANTED
from dpmed.samples.series import write_ct_series

__all__ = ["MAX_PATIENTS", "PLANTED", "write_brats", "write_covid_ct", "write_ct_series"]
