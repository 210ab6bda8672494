//! Which class of failure each error of the router's start is.

use rcs_cli::Exit;

use crate::app::{AccessError, AppError, ClusterError};

impl From<&AppError> for Exit {
    fn from(error: &AppError) -> Self {
        match error {
            AppError::Access(AccessError::NoKey)
            | AppError::NoCertificate(_)
            | AppError::NoAdminCertificate(_) => Self::Usage,
            AppError::Access(AccessError::Threads(_)) => Self::Internal,
            AppError::Access(_)
            | AppError::Token(_)
            | AppError::Document(_)
            | AppError::Config(_)
            | AppError::Trust(_)
            | AppError::Identity(_)
            | AppError::Cluster(ClusterError::Certificates(_) | ClusterError::Start(_)) => Self::BadData,
            AppError::Bind { .. } | AppError::DataDir(_) | AppError::Spill(_) | AppError::Handover(_) => {
                Self::Unavailable
            }
            AppError::System { .. } | AppError::Cluster(ClusterError::System { .. }) => Self::Internal,
        }
    }
}
