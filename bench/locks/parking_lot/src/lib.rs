//! parking_lot's lock behind C functions, each one call away.

use lock_api::RawMutex as _;
use parking_lot::RawMutex;

/// The lock is one byte; zero is unlocked.
#[no_mangle]
pub extern "C" fn parking_lot_lock(lock: &RawMutex) {
    lock.lock();
}

#[no_mangle]
pub extern "C" fn parking_lot_try_lock(lock: &RawMutex) -> bool {
    lock.try_lock()
}

/// # Safety
/// The caller holds it.
#[no_mangle]
pub unsafe extern "C" fn parking_lot_unlock(lock: &RawMutex) {
    lock.unlock();
}
