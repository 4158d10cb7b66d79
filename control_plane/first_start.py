"""The first start: an organization, its key, and everything the first phone call needs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs, versions
from control_plane.db.crypto import Vault, write_private
from control_plane.db.engine import Database, wake
from control_plane.db.models.assistant import Assistant
from control_plane.db.models.organization import Organization
from control_plane.db.models.trunk import Number, Purpose, Trunk
from control_plane.db.sealed import seal
from control_plane.domain.assistant import AssistantSpec, FaqItem, FirstSentenceMode
from control_plane.domain.brief import Direction
from control_plane.domain.ids import new_id
from control_plane.keys import operators
from control_plane.keys.making import OPERATOR, SCOPES, make_key
from control_plane.settings import ApiSettings
from control_plane.trunks import pace
from process.logs import get_logger

SIMULATOR_NUMBER = "+12025550199"
LOOPBACK = "127.0.0.0/8"
_SIMULATOR_CALLS_PER_SECOND = 30.0
_SIMULATOR_CALLS = 20  # what one embedded gateway carries on two cores
log = get_logger(__name__)

_PROMPT = """\
You are the receptionist of Bright Smile Dental, a friendly dental clinic. You are on the phone: \
answer in one or two short sentences, in plain words, without lists or symbols. Be warm and calm. \
If you do not know something, say that the clinic will call back. When the caller has no more \
questions, say goodbye and end the call.

Facts about the clinic:
- Name: Bright Smile Dental.
- Opening hours: Monday to Friday from nine to five. Closed on Saturday and Sunday.
- Address: twelve Maple Street, opposite the public library.
- Parking: free behind the building.
- A cleaning costs eighty dollars. A check-up costs sixty dollars. A filling costs from one \
hundred and fifty dollars.
- New patients are welcome.
- Appointments are cancelled free of charge until one day before.
- In an emergency, the clinic sees patients on the same day; at night, the city hospital helps.
- Most dental insurances are accepted.
"""

_FAQ = (
    ("What are your opening hours?", "We are open Monday to Friday from nine to five."),
    ("How much does a cleaning cost?", "A cleaning costs eighty dollars."),
    ("How much does a check-up cost?", "A check-up costs sixty dollars."),
    ("How much is a filling?", "A filling costs from one hundred and fifty dollars."),
    ("Where are you?", "We are at twelve Maple Street, opposite the public library."),
    ("Is there parking?", "Yes, there is free parking behind the building."),
    (
        "What do I do in an emergency?",
        "Please call us right away. In an emergency we see you on the same day.",
    ),
    (
        "How can I cancel my appointment?",
        "You can cancel free of charge until one day before your appointment.",
    ),
    ("Can I make an appointment?", "Of course. The clinic will call you back to agree on a time."),
    ("Do you take new patients?", "Yes, new patients are welcome."),
    ("Do you accept my insurance?", "We accept most dental insurances."),
    ("Are you open on Saturday?", "No, we are closed on Saturday and Sunday."),
)

RECEPTIONIST = AssistantSpec(
    name="Bright Smile Dental",
    prompt=_PROMPT,
    first_sentence="Hello, this is the Bright Smile dental clinic. How can I help you today?",
    first_sentence_mode=FirstSentenceMode.STATIC,
    end_of_call_sentence="Thank you for calling. Goodbye.",
    faq_items=tuple(FaqItem(question, answer) for question, answer in _FAQ),
)


async def prepare(database: Database, vault: Vault, data: Path, api: ApiSettings) -> None:
    """Create the first rows and `credentials.toml`; later starts leave them alone."""
    credentials = data / "credentials.toml"
    async with database.transaction() as db:
        if await db.scalar(select(Organization.id).limit(1)) is not None:
            await operators.appoint(db, credentials, now=datetime.now(UTC))
            if api.embedded:
                await _follow_environment(db, vault, api)
            return
        now = datetime.now(UTC)
        owner = Organization(id=new_id(), name="default", created_at=now)
        db.add(owner)
        await db.flush()
        row, key = make_key(owner.id, name="first start", scopes=[*SCOPES, OPERATOR], now=now)
        db.add(row)
        await _add_receptionist(db, vault, owner.id, now)
        await _add_inbound(db, vault, owner.id, api, now)
        if api.embedded:
            await _add_simulator(db, owner.id, api, now)
        wake(db)
        # Before the commit: a key that nobody can read would lock the owner out.
        write_credentials(credentials, api.url, key, owner.id)
    log.info("the first organization was created", organization_id=owner.id)


def write_credentials(path: Path, api_url: str, key: str, organization_id: str) -> None:
    """Write the file that the command line reads; only its owner can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    content = f'api_url = "{api_url}"\napi_key = "{key}"\norganization_id = "{organization_id}"\n'
    write_private(path, content.encode())


async def _follow_environment(db: AsyncSession, vault: Vault, api: ApiSettings) -> None:
    """Keep our own trunks at the ports and the login that this start was given.

    The simulator's is open again: two of its numbers stop a trunk, as a carrier would.
    """
    now = datetime.now(UTC)
    trunks = await db.scalars(
        select(Trunk).where(Trunk.deleted_at.is_(None), Trunk.purpose.is_not(None))
    )
    for trunk in trunks.all():
        if trunk.purpose is Purpose.SIMULATOR:
            if trunk.address != api.carrier_address:
                trunk.address, trunk.updated_at = api.carrier_address, now
                wake(db)
            await pace.resume(db, trunk.id, now)
        elif trunk.username != (api.sip_lan_username or None):
            await _admit(db, vault, trunk, api, now)
            wake(db)


async def _add_receptionist(
    db: AsyncSession, vault: Vault, organization_id: str, now: datetime
) -> None:
    stored = await specs.store(db, vault, organization_id, RECEPTIONIST, now=now)
    row = Assistant(
        id=new_id(),
        organization_id=organization_id,
        name=RECEPTIONIST.name,
        version=1,
        spec=stored,
        is_default=True,
        created_at=now,
        updated_at=now,
    )
    db.add(row)
    await versions.add_current(db, row, now=now)


async def _add_inbound(
    db: AsyncSession, vault: Vault, organization_id: str, api: ApiSettings, now: datetime
) -> None:
    trunk = Trunk(
        id=new_id(),
        organization_id=organization_id,
        direction=Direction.INBOUND,
        purpose=Purpose.LOCAL_LINE,
        name="inbound",
        transport="udp",
        numbers=[],
        is_default=True,
        created_at=now,
        updated_at=now,
    )
    await _admit(db, vault, trunk, api, now)
    db.add(trunk)


async def _admit(
    db: AsyncSession, vault: Vault, trunk: Trunk, api: ApiSettings, now: datetime
) -> None:
    """Say who may call in: this machine, or whoever knows the login of the local network.

    LiveKit takes no second trunk without numbers, so the login replaces the addresses.
    """
    trunk.updated_at = now
    if not (api.sip_lan_username and api.sip_lan_password):
        trunk.username = trunk.secret_id = None
        trunk.allowed_addresses = [LOOPBACK]
        return
    owner = trunk.organization_id
    secret = await seal(db, vault, owner, api.sip_lan_password, now=now)
    trunk.username, trunk.secret_id = api.sip_lan_username, secret.id
    trunk.allowed_addresses = []


async def _add_simulator(
    db: AsyncSession, organization_id: str, api: ApiSettings, now: datetime
) -> None:
    trunk = Trunk(
        id=new_id(),
        organization_id=organization_id,
        direction=Direction.OUTBOUND,
        purpose=Purpose.SIMULATOR,
        name="simulator",
        address=api.carrier_address,
        transport="udp",
        numbers=[SIMULATOR_NUMBER],
        allowed_addresses=[],
        calls_per_second=_SIMULATOR_CALLS_PER_SECOND,
        max_concurrent_calls=_SIMULATOR_CALLS,
        is_default=True,
        created_at=now,
        updated_at=now,
    )
    db.add(trunk)
    await db.flush()
    db.add(
        Number(
            id=new_id(),
            organization_id=organization_id,
            phone_number=SIMULATOR_NUMBER,
            trunk_id=trunk.id,
            is_default=True,
            created_at=now,
            updated_at=now,
        )
    )
